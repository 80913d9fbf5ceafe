"""What the checks share: expectations, a client of the official SDK, the simulator's controls."""

import json
import os
import urllib.request

# A proxy for the internet does not lead to loopback.
os.environ["NO_PROXY"] = "127.0.0.1,localhost,::1"

import lark_oapi as lark


class Mismatch(Exception):
    """What was expected, and what came."""


def expect(what, actual, expected):
    if actual != expected:
        raise Mismatch(f"{what}: expected {expected!r}, got {actual!r}")


def expect_success(what, response):
    if not response.success():
        raise Mismatch(f"{what}: code {response.code}, {response.msg}, log id {response.get_log_id()}")
    if not response.get_log_id():
        raise Mismatch(f"{what}: no log id; is the header spelt X-Tt-Logid?")


def client_for(arguments, app_secret=None):
    return (
        lark.Client.builder()
        .domain(arguments.base_url)
        .app_id(arguments.app_id)
        .app_secret(app_secret or arguments.app_secret)
        .log_level(lark.LogLevel.WARNING)
        .timeout(10)
        .build()
    )


def controlled(arguments, path, body=None, method=None):
    """Steers the simulator; a POST when there is a body and no method."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(arguments.base_url + path, data, method=method)
    with direct.open(request, timeout=10) as response:
        return json.load(response)


class Unfollowed(urllib.request.HTTPRedirectHandler):
    """Nobody listens at the redirect URI."""

    def redirect_request(self, *_):
        return None


direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), Unfollowed)
