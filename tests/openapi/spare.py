"""Keeps schemathesis off what it works with. It takes ids from earlier answers, lists included, and would sooner or later
switch off or delete the app that its requests name, or revoke its own API key: every check after that would be of refusals.
Such a request goes to another id instead; everything else about it stays."""

import schemathesis

APP, ANOTHER_APP = "cli_demo000001", "cli_market00001"


@schemathesis.hook
def before_call(_, case, kwargs):
    given = case.path_parameters or {}
    if case.method.upper() not in ("PATCH", "DELETE"):
        return
    if given.get("app_id") == APP:
        given["app_id"] = ANOTHER_APP
    key = (kwargs.get("headers") or {}).get("Authorization", "")
    if given.get("key_id") and f"lsk_{given['key_id']}_" in key:
        given["key_id"] = "0" * 12
