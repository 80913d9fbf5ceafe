#!/usr/bin/env python3
"""The unmodified official SDK (lark-oapi, sync) against a platform that is already running.

    pip install -r requirements.txt
    ./check_simulator.py BASE_URL APP_ID APP_SECRET OPEN_ID EMAIL

OPEN_ID and EMAIL belong to user 1. Adds a marketplace app to the platform, takes scopes from the app and gives them back.
Stops at the first mismatch with exit status 1.
"""

import argparse
import base64
import hashlib
import json
import secrets
import sys
import urllib.error
import urllib.parse

import directory_checks
import message_checks
from sdk_client import Mismatch, client_for, controlled, direct, expect, expect_success

import lark_oapi as lark
from lark_oapi.api.authen.v1 import GetUserInfoRequest
from lark_oapi.api.contact.v3 import (
    BatchGetIdUserRequest,
    BatchGetIdUserRequestBody,
    BatchUserRequest,
    GetUserRequest,
)
from lark_oapi.core.exception import AccessTokenException, ObtainAccessTokenException

UNKNOWN_OPEN_ID = "ou_" + "0" * 32
UNKNOWN_EMAIL = "nobody@nowhere.invalid"
USERS = "/open-apis/contact/v3/users"
AUTHORIZE = "/open-apis/authen/v1/authorize"
REDIRECT_URI = "http://127.0.0.1:9/callback"
SCOPE = "contact:user.email:readonly offline_access"
TENANTS = ("tenant_one", "tenant_two")


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


def a_login_gives_tokens_that_are_refreshed_once(arguments):
    client = oauth_client(arguments)
    code, verifier = log_in(arguments)
    try:
        client.access_token.retrieve_by_authorization_code(code, redirect_uri=REDIRECT_URI)
    except AccessTokenException as error:
        expect("code without a verifier", error.code, 20049)
    else:
        raise Mismatch("a code was exchanged without its verifier")
    first = client.access_token.retrieve_by_authorization_code(code, REDIRECT_URI, verifier)
    expect("kind and lives", (first.token_type, first.expires_in, first.refresh_token_expires_in), ("Bearer", 7200, 604800))
    expect("scope", first.scope, SCOPE)
    second = client.access_token.refresh(first.refresh_token)
    for token in (first.access_token, second.access_token):
        expect("open_id of the token", user_of(client, token).open_id, arguments.open_id)
        expect("e-mail of the token", user_of(client, token).email, arguments.email)
    try:
        client.access_token.refresh(first.refresh_token)
    except AccessTokenException as error:
        expect("a used refresh token", (error.status_code, error.code, error.error), (400, 20073, "invalid_grant"))
        return
    raise Mismatch("a refresh token was good twice")


def a_bad_user_token_is_an_error(arguments):
    response = user_info(oauth_client(arguments), "eyJunknown")
    expect("code", (response.code, response.raw.status_code), (20005, 200))


def a_code_is_good_at_the_v2_endpoint_as_well(arguments):
    code, verifier = log_in(arguments)
    request = (
        lark.BaseRequest.builder()
        .http_method(lark.HttpMethod.POST)
        .uri("/open-apis/authen/v2/oauth/token")
        .body({
            "grant_type": "authorization_code",
            "client_id": arguments.app_id,
            "client_secret": arguments.app_secret,
            "code": code,
            "code_verifier": verifier,
        })
        .build()
    )
    response = client_for(arguments).request(request)
    expect_success("v2 token", response)
    expect("scope", json.loads(response.raw.content)["scope"], SCOPE)


# The SDK's own flow: app_access_token with the ticket, then a tenant_access_token for each tenant.
def a_marketplace_app_acts_for_its_tenants(arguments):
    app_id = f"cli_market{secrets.token_hex(4)}"
    app = {"app_id": app_id, "secret": "secret", "marketplace": True, "tenants": list(TENANTS)}
    controlled(arguments, "/_sim/apps", app)
    client = (
        lark.Client.builder()
        .domain(arguments.base_url)
        .app_id(app_id)
        .app_secret("secret")
        .app_type(lark.AppType.ISV)
        .log_level(lark.LogLevel.WARNING)
        .timeout(10)
        .build()
    )
    try:
        find_email(client, arguments, TENANTS[0], "not-the-ticket")
    except ObtainAccessTokenException as error:
        expect("code of a bad ticket", error.code, 10012)
    else:
        raise Mismatch("a bad app ticket was accepted")
    ticket = controlled(arguments, f"/_sim/apps/{app_id}/ticket")["app_ticket"]
    for tenant in TENANTS:
        response = find_email(client, arguments, tenant, ticket)
        expect_success(f"batch_get_id for {tenant}", response)
        expect("e-mail", response.data.user_list[0].email, arguments.email)
    try:
        find_email(client, arguments, "tenant_three", ticket)
    except ObtainAccessTokenException as error:
        expect("code of an unknown tenant", error.code, 10013)
    else:
        raise Mismatch("a tenant without the app was accepted")
    issued = controlled(arguments, "/_sim/counters?apps=true")["apps"][app_id]["tokens_issued"]
    expect("tokens issued", issued, 1 + len(TENANTS))


def find_email(client, arguments, tenant_key, app_ticket):
    body = BatchGetIdUserRequestBody.builder().emails([arguments.email]).build()
    request = BatchGetIdUserRequest.builder().user_id_type("open_id").request_body(body).build()
    option = lark.RequestOption.builder().tenant_key(tenant_key).app_ticket(app_ticket).build()
    return client.contact.v3.user.batch_get_id(request, option)


def oauth_client(arguments):
    return (
        lark.Client.builder()
        .domain(arguments.base_url)
        .oauth_base_url(arguments.base_url)
        .app_id(arguments.app_id)
        .app_secret(arguments.app_secret)
        .enable_set_token(True)
        .log_level(lark.LogLevel.WARNING)
        .timeout(10)
        .build()
    )


def user_info(client, token):
    option = lark.RequestOption.builder().user_access_token(token).build()
    return client.authen.v1.user_info.get(GetUserInfoRequest.builder().build(), option)


def user_of(client, token):
    response = user_info(client, token)
    expect_success("user_info", response)
    return response.data


def log_in(arguments):
    """Approves as user 1, as the form of the page does; the code, and the verifier it is bound to."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "client_id": arguments.app_id,
        "response_type": "code",
        "redirect_uri": REDIRECT_URI,
        "scope": SCOPE,
        "state": "a&b",
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    url = f"{arguments.base_url}{AUTHORIZE}?{urllib.parse.urlencode(asked)}"
    page = direct.open(url, timeout=10).read().decode()
    if 'id="approve"' not in page or "<code>offline_access</code>" not in page:
        raise Mismatch(f"the page does not ask: {page}")
    form = urllib.parse.urlencode({"user": 1, "decision": "approve"}).encode()
    try:
        direct.open(url, form, timeout=10)
    except urllib.error.HTTPError as answer:
        expect("status of the decision", answer.code, 302)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.headers["Location"]).query)
        expect("state", query["state"], ["a&b"])
        return query["code"][0], verifier
    raise Mismatch("the decision did not redirect")


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
    a_login_gives_tokens_that_are_refreshed_once,
    a_bad_user_token_is_an_error,
    a_code_is_good_at_the_v2_endpoint_as_well,
    a_marketplace_app_acts_for_its_tenants,
    *directory_checks.CHECKS,
    *message_checks.CHECKS,
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
