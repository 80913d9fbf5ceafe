#!/usr/bin/env python3
"""The unmodified official SDK (lark-oapi, sync) against a platform that is already running.

    pip install -r requirements.txt
    ./check_simulator.py BASE_URL APP_ID APP_SECRET OPEN_ID EMAIL

OPEN_ID and EMAIL belong to the same user. Stops at the first mismatch with exit status 1.
"""

import argparse
import json
import os
import sys

# A proxy for the internet does not lead to loopback.
os.environ["NO_PROXY"] = "127.0.0.1,localhost,::1"

import lark_oapi as lark
from lark_oapi.api.contact.v3 import (
    BatchGetIdUserRequest,
    BatchGetIdUserRequestBody,
    BatchUserRequest,
    GetUserRequest,
)
from lark_oapi.core.exception import ObtainAccessTokenException

UNKNOWN_OPEN_ID = "ou_" + "0" * 32
UNKNOWN_EMAIL = "nobody@nowhere.invalid"
USERS = "/open-apis/contact/v3/users"


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


def get_user(client, user_id, user_id_type="open_id"):
    request = GetUserRequest.builder().user_id(user_id).user_id_type(user_id_type).build()
    return client.contact.v3.user.get(request)


# The SDK keeps tokens for the whole process: a wrong secret is only noticed before the first good one.
def a_wrong_secret_raises_code_10014(arguments):
    try:
        get_user(client_for(arguments, "not-the-secret"), arguments.open_id)
    except ObtainAccessTokenException as error:
        expect("code of the token error", error.code, 10014)
        return
    raise Mismatch("a wrong secret was accepted")


def a_user_is_found_by_open_id(arguments):
    response = get_user(client_for(arguments), arguments.open_id)
    expect_success("get user", response)
    user = response.data.user
    expect("open_id", user.open_id, arguments.open_id)
    expect("email", user.email, arguments.email)
    expect("type of status", type(user.status).__name__, "UserStatus")
    expect("type of gender", type(user.gender), int)
    if not user.name or not user.department_ids or not user.avatar.avatar_72:
        raise Mismatch(f"get user: name, department or avatar is missing: {lark.JSON.marshal(user)}")


def the_other_ids_lead_to_the_same_user(arguments):
    client = client_for(arguments)
    user = get_user(client, arguments.open_id).data.user
    for id_type, user_id in (("union_id", user.union_id), ("user_id", user.user_id)):
        response = get_user(client, user_id, id_type)
        expect_success(f"get user by {id_type}", response)
        expect(f"open_id by {id_type}", response.data.user.open_id, arguments.open_id)


def a_batch_leaves_out_unknown_ids(arguments):
    request = BatchUserRequest.builder().user_ids([arguments.open_id, UNKNOWN_OPEN_ID]).build()
    response = client_for(arguments).contact.v3.user.batch(request)
    expect_success("batch users", response)
    expect("open_ids", [user.open_id for user in response.data.items], [arguments.open_id])


def an_email_leads_to_the_open_id(arguments):
    body = BatchGetIdUserRequestBody.builder().emails([arguments.email, UNKNOWN_EMAIL]).build()
    request = BatchGetIdUserRequest.builder().user_id_type("open_id").request_body(body).build()
    response = client_for(arguments).contact.v3.user.batch_get_id(request)
    expect_success("batch_get_id", response)
    found = [(entry.email, entry.user_id or None) for entry in response.data.user_list]
    expect("entries", found, [(arguments.email, arguments.open_id), (UNKNOWN_EMAIL, None)])


def an_unknown_user_is_an_error_with_a_log_id(arguments):
    response = get_user(client_for(arguments), UNKNOWN_OPEN_ID)
    expect("code", response.code, 99992351)
    expect("HTTP status", response.raw.status_code, 400)
    if not response.get_log_id() or not response.msg:
        raise Mismatch(f"no log id or no message: {response.get_log_id()!r}, {response.msg!r}")


def a_bad_argument_names_its_field(arguments):
    response = get_user(client_for(arguments), arguments.open_id, "email")
    expect("code", response.code, 99992402)
    violations = json.loads(response.raw.content)["error"]["field_violations"]
    expect("field", violations[0]["field"], "user_id_type")


def a_raw_request_sees_the_body(arguments):
    client = client_for(arguments)
    for path in (f"{USERS}/{arguments.open_id}", f"{USERS}/{arguments.open_id}/"):
        request = raw_request(lark.HttpMethod.GET, path).build()
        response = client.request(request)
        expect_success(f"raw GET {path}", response)
        content = json.loads(response.raw.content)
        expect("open_id", content["data"]["user"]["open_id"], arguments.open_id)


def a_raw_body_needs_no_content_type(arguments):
    request = raw_request(lark.HttpMethod.POST, f"{USERS}/batch_get_id")
    response = client_for(arguments).request(request.body({"emails": [arguments.email]}).build())
    expect_success("raw batch_get_id", response)
    entries = json.loads(response.raw.content)["data"]["user_list"]
    expect("user_id", entries[0]["user_id"], arguments.open_id)


def a_raw_request_sees_the_error_code(arguments):
    request = raw_request(lark.HttpMethod.GET, f"{USERS}/{UNKNOWN_OPEN_ID}").build()
    response = client_for(arguments).request(request)
    expect("code", response.code, 99992351)


def raw_request(method, path):
    builder = lark.BaseRequest.builder().http_method(method).uri(path)
    return builder.token_types({lark.AccessTokenType.TENANT})


CHECKS = (
    a_wrong_secret_raises_code_10014,
    a_user_is_found_by_open_id,
    the_other_ids_lead_to_the_same_user,
    a_batch_leaves_out_unknown_ids,
    an_email_leads_to_the_open_id,
    an_unknown_user_is_an_error_with_a_log_id,
    a_bad_argument_names_its_field,
    a_raw_request_sees_the_body,
    a_raw_body_needs_no_content_type,
    a_raw_request_sees_the_error_code,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("base_url", "app_id", "app_secret", "open_id", "email"):
        parser.add_argument(name)
    arguments = parser.parse_args()
    for passed, check in enumerate(CHECKS):
        try:
            check(arguments)
        except Exception as error:  # whatever the SDK raises is a finding
            print(f"{check.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
            print(f"{passed} passed, 1 failed", file=sys.stderr)
            return 1
    print(f"{len(CHECKS)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
