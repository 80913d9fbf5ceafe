"""The main paths of a deployed stack, through its API. Stops at the first difference with exit status 1."""

import argparse
import json
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config


class Stay(urllib.request.HTTPRedirectHandler):
    """Returns redirects to the caller instead of following them."""

    def redirect_request(self, *_):
        return None


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)


def call(url, *, key=None, headers=None, method=None, body=None):
    """Status, headers and body (JSON, else text) of a request; with a `body`, which is sent as JSON, a POST."""
    headers = dict(headers or {})
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if isinstance(body, dict):
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    try:
        response = DIRECT.open(urllib.request.Request(url, body, headers, method=method), timeout=60)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        text = response.read().decode()
    try:
        return response.status, response.headers, json.loads(text)
    except ValueError:
        return response.status, response.headers, text


def once():
    """An Idempotency-Key that no run had before."""
    return {"Idempotency-Key": f"smoke-{secrets.token_hex(8)}"}


def check(what, actual, expected, context=""):
    if actual != expected:
        sys.exit(f"{what}: expected {expected!r}, got {actual!r} {context}")
    print(f"ok  {what}")


def eventually(ask, status):
    """The answer of `ask` once it has this status, or the last one of ten seconds."""
    until = time.monotonic() + 10
    while (answer := ask())[0] != status and time.monotonic() < until:
        time.sleep(0.25)
    return answer


class Simulator:
    def __init__(self, url):
        self.url = url

    def user(self, number, app_id):
        """The profile that the platform returns to an app."""
        status, _, body = call(f"{self.url}/_sim/users/{number}?app_id={app_id}")
        check(f"the simulator knows user {number}", status, 200, body)
        return body

    def change_app(self, app_id, **change):
        status, _, body = call(f"{self.url}/_sim/apps/{app_id}", method="PATCH", body=change)
        check(f"the simulator changes {', '.join(change)} of {app_id}", status, 200, body)

    def counters(self):
        """Requests by endpoint, without zeros, and tokens issued."""
        body = call(f"{self.url}/_sim/counters")[2]
        return {name: it["requests"] for name, it in body["endpoints"].items() if it["requests"]}, body["tokens_issued"]


def outputs(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {it["OutputKey"]: it["OutputValue"] for it in described["Outputs"]}


def schedule_input(stack, schedule, expression):
    """A schedule's event, with the fields that EventBridge Scheduler would fill in."""
    resource = boto3.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId=schedule)
    name = resource["StackResourceDetail"]["PhysicalResourceId"].rpartition("/")[2]
    described = boto3.client("scheduler").get_schedule(Name=name)
    check(f"{schedule} has its rate", described["ScheduleExpression"], expression)
    for attribute, value in {"scheduled-time": "2026-11-22T08:00:00Z", "execution-id": "smoke-test",
                             "attempt-number": "1"}.items():
        described["Target"]["Input"] = described["Target"]["Input"].replace(f"<aws.scheduler.{attribute}>", value)
    return json.loads(described["Target"]["Input"])


def refresh(stack):
    """Runs the scheduled refresh and returns its error, if any."""
    event = schedule_input(stack, "RefreshTokensFunctionEveryMinute", "rate(1 minute)")
    answer = boto3.client("lambda").invoke(FunctionName=outputs(stack)["RefreshTokensFunctionName"],
                                           Payload=json.dumps(event))
    payload = answer["Payload"].read().decode()
    return payload if answer.get("FunctionError") else None


def directory(api, key, app, simulator):
    """Users by address and in a batch, departments, chats: by the platform's own ids."""
    user, other = (simulator.user(number, app["X-Lark-App-Id"]) for number in (11, 12))
    status, headers, found = call(f"{api}/v1/users?email={user['email'].upper()}", key=key, headers=app)
    check("a user by e-mail address: 200", (status, found.get("open_id")), (200, user["open_id"]), found)
    check("it says how old that is", headers["Age"].isdigit(), True, headers)
    mobile = urllib.parse.quote(user["mobile"], safe="")
    found = call(f"{api}/v1/users?mobile={mobile}", key=key, headers=app)[2]
    check("the same by mobile number", found.get("open_id"), user["open_id"], found)
    check("nobody has it: 404", call(f"{api}/v1/users?email=nobody@example.com", key=key, headers=app)[0], 404)

    unknown = "ou_" + "0" * 32
    asked = {"open_ids": [other["open_id"], unknown], "emails": [user["email"]]}
    name = {**app, **once()}
    status, _, batch = call(f"{api}/v1/users/batch", key=key, headers=name, body=asked)
    check("many users: 200", status, 200, batch)
    check("others by the same Idempotency-Key: 422", call(f"{api}/v1/users/batch", key=key, headers=name, body={"ids": [unknown]})[0], 422)
    check("in the order of the request", [it["user"]["open_id"] for it in batch["users"]],
          [other["open_id"], user["open_id"]])
    check("with the unknown ones", [it["requested"] for it in batch["not_found"]], [{"open_id": unknown}])
    check("and nothing failed", batch["failed"], [])
    new = [simulator.user(number, app["X-Lark-App-Id"])["open_id"] for number in (21, 22, 23)]
    batch = call(f"{api}/v1/users/batch", key=key, headers=app, body={"open_ids": new})[2]
    check("and many whom nobody has requested", [it["user"]["open_id"] for it in batch["users"]], new)
    status, _, body = call(f"{api}/v1/users/batch", key=key, headers=app, body={"ids": ["x"]})
    check("a wrong entry is named: 400", (status, body["errors"][0]["field"]), (400, "ids[0]"), body)

    department = f"{api}/v1/departments/{found['department_ids'][0]}"
    status, _, body = call(department, key=key, headers=app)
    check("their department: 200", status, 200, body)
    by_own = f"{api}/v1/departments/{body['department_id']}?id_type=department_id"
    check("the same by its other id", call(by_own, key=key, headers=app)[2], body)
    status, _, page = call(f"{department}/users?page_size=1", key=key, headers=app)
    check("a page of its users: 200", (status, len(page["items"])), (200, 1), page)
    check("with more to come", "next_page_token" in page, True, page)

    status, _, page = call(f"{api}/v1/chats?page_size=2", key=key, headers=app)
    check("a page of chats: 200", (status, len(page["items"])), (200, 2), page)
    chat = page["items"][0]
    named = call(f"{api}/v1/chats?name={urllib.parse.quote(chat['name'])}", key=key, headers=app)[2]["items"]
    check("the first is found by its name", chat["chat_id"] in [it["chat_id"] for it in named], True, named)
    status, _, body = call(f"{api}/v1/chats/{chat['chat_id']}", key=key, headers=app)
    check("the chat: 200", (status, body.get("name")), (200, chat["name"]), body)
    status, _, page = call(f"{api}/v1/chats/{chat['chat_id']}/members?page_size=1", key=key, headers=app)
    check("one of its members: 200", (status, len(page["items"])), (200, 1), page)
    check("no such chat: 404", call(f"{api}/v1/chats/oc_0", key=key, headers=app)[2].get("code"), "chat_not_found")


def warm_up(api, key, app, simulator, stack):
    """The warm-up after each deployment: afterwards users whom nobody has requested are in the cache."""
    event = schedule_input(stack, "WarmCacheFunctionHourly", "rate(1 hour)")
    patient = boto3.client("lambda", config=Config(read_timeout=330, retries={"total_max_attempts": 1}))
    answer = patient.invoke(FunctionName=outputs(stack)["WarmCacheFunctionName"], Payload=json.dumps(event))
    report = answer["Payload"].read().decode()
    check("the warm-up runs", answer.get("FunctionError"), None, report)
    check("and nothing fails", json.loads(report)["failed"], 0, report)
    print(f"    {report}")
    somebody = simulator.user(4711, app["X-Lark-App-Id"])["open_id"]
    status, headers, body = call(f"{api}/v1/users/{somebody}", key=key, headers=app)
    check("a user nobody has requested: 200", (status, body.get("open_id")), (200, somebody), body)
    check("from the cache", "; hit; " in headers["Cache-Status"], True, headers["Cache-Status"])


def api_keys(api, admin, app, user):
    name, wanted = once(), {
        "name": "smoke test", "scopes": ["users:read"], "apps": [app["X-Lark-App-Id"]],
        "rate_limit": {"limit": 2, "window_seconds": 3600}}
    status, headers, made = call(f"{api}/v1/api-keys", key=admin, headers=name, body=wanted)
    check("an admin makes an API key: 201", status, 201, made)
    status, again, repeated = call(f"{api}/v1/api-keys", key=admin, headers=name, body=wanted)
    check("the same request by its Idempotency-Key: the same key", (status, repeated), (201, made))
    check("which the answer says", again["Idempotency-Replayed"], "true")
    check("that answer must not be cached", headers["Cache-Control"], "no-store")
    there = api + headers["Location"]

    status, headers, body = call(user, key=made["key"])
    check("the key works, for its only app: 200", status, 200, body)
    check("it tells its rate limit", headers["RateLimit-Policy"], '"api-key";q=2;w=3600')
    check("and what is left of it", headers["RateLimit"].startswith('"api-key";r=1;t='), True, headers["RateLimit"])
    check("it may not read tokens: 403", call(f"{api}/v1/tokens/tenant", key=made["key"])[2].get("code"), "permission_denied")
    check("nor manage apps: 403", call(f"{api}/v1/apps", key=made["key"])[0], 403)
    check("its second request: 200", call(user, key=made["key"])[0], 200)
    status, headers, body = call(user, key=made["key"])
    check("its third request: 429", (status, body.get("code")), (429, "rate_limited"), body)
    check("with the time to wait", int(headers["Retry-After"]) > 0, True, headers)

    shown = call(there, key=admin)[2]
    check("the key is shown without itself", "key" in shown, False)
    check("it was used", shown["last_used_at"] is not None, True, shown)
    status, _, body = call(there, key=admin, method="PATCH", body={"rate_limit": None, "status": "disabled"})
    check("the key is changed", (status, body.get("rate_limit"), body.get("status")), (200, None, "disabled"), body)
    check("a disabled key is refused at its next request: 403", call(user, key=made["key"])[0], 403)
    check("the key is revoked: 204", call(there, key=admin, method="DELETE")[0], 204)
    check("a revoked key is still shown", call(there, key=admin)[2]["status"], "revoked")
    changes = call(f"{there}/changes", key=admin)[2]["items"]
    check("it is known who did what", [it["action"] for it in changes], ["created", "disabled", "revoked"])
    listed = call(f"{api}/v1/api-keys?page_size=100", key=admin)[2]["items"]
    check("the key is listed", made["key_id"] in [it["key_id"] for it in listed], True)


def revocation(api, admin, app, user):
    """The gateway remembers the key; each class of routes refuses it at the first request after it was revoked."""
    made = call(f"{api}/v1/api-keys", key=admin, body={
        "name": "revoked", "scopes": ["tokens:read", "user_tokens:read", "users:read", "messages:send", "admin"], "apps": [app["X-Lark-App-Id"]]})[2]
    routes = {"tokens": f"{api}/v1/tokens/tenant", "users": user, "lists": f"{api}/v1/chats?page_size=2",
              "administration": f"{api}/v1/apps"}
    for route in routes.values():
        check("the key works: 200", call(route, key=made["key"])[0], 200)
    check("the key is revoked: 204", call(f"{api}/v1/api-keys/{made['key_id']}", key=admin, method="DELETE")[0], 204)
    revoked = time.monotonic()
    for name, route in routes.items():
        status = call(route, key=made["key"])[0]
        after_ms = (time.monotonic() - revoked) * 1000
        check(f"revoked, {name}: 403, answered {after_ms:.0f} ms after the revocation", status, 403)


def apps(api, admin, simulator, stack):
    app_id, before, after = "cli_smoke000001", "smoke-secret-before", "smoke-secret-after"
    there, token = f"{api}/v1/apps/{app_id}", (f"{api}/v1/tokens/tenant", {"X-Lark-App-Id": app_id})
    status, _, body = call(f"{simulator.url}/_sim/apps", body={"app_id": app_id, "secret": before})
    check("the simulator has another app", status, 200, body)

    name, wanted = once(), {"app_id": app_id, "secret": before, "name": "smoke test"}
    status, headers, made = call(f"{api}/v1/apps", key=admin, headers=name, body=wanted)
    check("an admin registers it: 201", status, 201, made)
    check("and again by its Idempotency-Key: 201", call(f"{api}/v1/apps", key=admin, headers=name, body=wanted)[0], 201)
    check("and gets its location", api + headers["Location"], there)
    check("the answer has no secret", before in json.dumps(made), False)
    check("once more: 409", call(f"{api}/v1/apps", key=admin, body={"app_id": app_id, "secret": before})[0], 409)
    listed = call(f"{api}/v1/apps?page_size=100", key=admin)[2]["items"]
    check("it is listed", app_id in [it["app_id"] for it in listed], True)
    check("the scheduled refresh fetches its first token", refresh(stack), None)
    status, _, issued = call(token[0], key=admin, headers=token[1])
    check("it gets a token", status, 200, issued)

    status, _, body = call(there, key=admin, method="PATCH", body={"secret": after, "previous_secret_seconds": 3600})
    check("its secret is changed here, and not yet at the platform", status, 200, body)
    check("the secret is another one", body["secret_fingerprint"] != made["secret_fingerprint"], True)
    check("the previous secret stays valid for a while", "previous_secret_until" in body, True, body)
    check("so its token stays valid", call(token[0], key=admin, headers=token[1])[2].get("token"), issued["token"])
    status, _, body = call(there, key=admin)
    check("an admin sees the state of its token", [it["kind"] for it in body["tokens"]], ["tenant"], body)

    status, _, body = call(there, key=admin, method="PATCH", body={"status": "disabled"})
    check("the app is disabled", status, 200, body)
    check("and refused at once", call(token[0], key=admin, headers=token[1])[2].get("code"), "app_disabled")
    check("the app is deleted: 204", call(there, key=admin, method="DELETE")[0], 204)
    check("it is gone", (call(there, key=admin)[0], call(token[0], key=admin, headers=token[1])[0]), (404, 404))
    changes = call(f"{there}/changes", key=admin)[2]["items"]
    check("it is known who did what", [it["action"] for it in changes], ["created", "secret_rotated", "disabled", "deleted"])


def login(api, key, app, simulator):
    app_id, open_id = app["X-Lark-App-Id"], simulator.user(7, app["X-Lark-App-Id"])["open_id"]
    token = f"{api}/v1/tokens/user?open_id={open_id}"
    check("nobody is logged in", call(token, key=key, headers=app)[2].get("reason"), "not_logged_in")

    status, headers, body = call(f"{api}/v1/oauth/authorize?app_id={app_id}&scope=contact:user.base:readonly")
    check("a browser is sent to the log-in page: 302", status, 302, body)
    page, cookie = headers["Location"], headers["Set-Cookie"].split(";")[0]
    check("with a cookie for this host only", cookie.startswith("__Host-lark-login-"), True, cookie)
    [callback] = urllib.parse.parse_qs(urllib.parse.urlsplit(page).query)["redirect_uri"]
    check("the redirect URL is the callback", urllib.parse.urlsplit(callback).path, "/v1/oauth/callback")
    simulator.change_app(app_id, redirect_uris=[callback])
    check("the log-in page is the simulator's", page.startswith(f"{simulator.url}/"), True, page)
    status, headers, body = call(page, body=b"user=7&decision=approve")
    check("user 7 consents: 302", status, 302, body)
    back = f"{api}/v1/oauth/callback?{urllib.parse.urlsplit(headers['Location']).query}"
    check("without the cookie: 400", call(back)[2].get("code"), "login_invalid")
    status, headers, body = call(back, headers={"Cookie": f"a=b; {cookie}", "Accept": "text/html"})
    check("with it the user is logged in", (status, headers.get_content_type()), (200, "text/html"), body)
    check("and the cookie is gone", "Max-Age=0" in headers["Set-Cookie"], True, headers["Set-Cookie"])
    status, headers, body = call(back, headers={"Cookie": cookie, "Accept": "text/html"})
    check("not twice: 400, as a page", (status, headers.get_content_type()), (400, "text/html"), body)

    status, _, body = call(token, key=key, headers=app)
    check("a token of the user: 200", (status, body.get("open_id")), (200, open_id), body)
    check("the login lasts", body["login"].get("days_left", 0) > 0, True, body["login"])
    status, _, body = call(f"{api}/v1/oauth/users/{open_id}", key=key, headers=app, method="DELETE")
    check("the login is ended: 204", status, 204, body)
    # The process that returned the token trusts its memory for five seconds.
    status, _, body = eventually(lambda: call(token, key=key, headers=app), 409)
    check("the user has to log in again: 409", (status, body.get("code")), (409, "reauthorization_required"), body)


def marketplace(api, key, app_id, secret, tenant, simulator, function):
    token, header = f"{api}/v1/tokens/tenant", {"X-Lark-App-Id": app_id}
    body = {"app_id": app_id, "secret": secret, "kind": "marketplace"}
    check("an admin registers a marketplace app: 201", call(f"{api}/v1/apps", key=key, body=body)[0], 201)
    check("it needs a tenant: 400", call(token, key=key, headers=header)[0], 400)
    header["X-Lark-Tenant-Key"] = tenant
    check("and a ticket: 503", call(token, key=key, headers=header)[2].get("code"), "app_ticket_missing")
    ticket = call(f"{simulator.url}/_sim/apps/{app_id}/ticket")[2]["app_ticket"]
    event = {"type": "app_ticket", "app_id": app_id, "app_ticket": ticket}
    invoke = boto3.client("lambda").invoke
    answer = invoke(FunctionName=function, Payload=json.dumps({"event": event}))
    check("the ticket is kept", answer.get("FunctionError"), None, answer["Payload"].read().decode())
    status, _, body = eventually(lambda: call(token, key=key, headers=header), 200)
    check("its tenant gets a token: 200", (status, body.get("tenant_key")), (200, tenant), body)
    answer = invoke(FunctionName=function, Payload=json.dumps({"event": {**event, "app_id": "cli_unknown"}}))
    check("a ticket of an unknown app is not", answer.get("FunctionError") is not None, True)
    check("the app is deleted with its tokens: 204", call(f"{api}/v1/apps/{app_id}", key=key, method="DELETE")[0], 204)


def messages(api, key, app, simulator, stack):
    """Messages now, by the queue, for later; what became of them."""
    user = simulator.user(21, app["X-Lark-App-Id"])
    to, jobs = {"email": user["email"]}, f"{api}/v1/message-jobs"

    def delivered():
        return call(f"{simulator.url}/_sim/messages?limit=100")[2]["deliveries"]

    status, headers, sent = call(f"{api}/v1/messages", key=key, headers={**app, "Idempotency-Key": "smoke-1"},
                                 body={"to": to, "text": "now"})
    check("a message is delivered at once: 200", (status, sent.get("state")), (200, "delivered"), sent)
    check("it says where its job is", headers["Location"], f"/v1/message-jobs/{sent['job_id']}")
    check("the platform has it", [it["message_id"] for it in delivered()], [sent["delivered"]["message_id"]])
    status, _, again = call(f"{api}/v1/messages", key=key, headers={**app, "Idempotency-Key": "smoke-1"},
                            body={"to": to, "text": "now"})
    check("the same request again: the same job", (status, again.get("job_id")), (200, sent["job_id"]), again)
    status, _, other = call(f"{api}/v1/messages", key=key, headers={**app, "Idempotency-Key": "smoke-1"},
                            body={"to": to, "text": "another"})
    check("another with its name: 422", (status, other.get("code")), (422, "idempotency_mismatch"), other)
    check("it was sent once", len(delivered()), 1)

    for lane in ["normal", "bulk"]:
        status, _, taken = call(f"{api}/v1/messages", key=key, headers={**app, "Prefer": "respond-async"},
                                body={"to": to, "markdown": f"**{lane}**", "lane": lane})
        check(f"a message for the queue, {lane}: 202", status, 202, taken)
        until = time.monotonic() + 60
        while (job := call(f"{jobs}/{taken['job_id']}", key=key)[2]).get("state") != "delivered" and time.monotonic() < until:
            time.sleep(0.5)
        check("a worker delivers it", job.get("state"), "delivered", job)

    people = [simulator.user(number, app["X-Lark-App-Id"]) for number in (22, 23, 24)]
    status, headers, taken = call(f"{api}/v1/messages/batch", key=key, headers=app, body={
        "to": [{"email": people[0]["email"]}, {"open_id": people[1]["open_id"]}, {"email": people[2]["email"]},
               {"open_id": people[0]["open_id"]}], "text": "to many"})
    check("a message to many: 202", status, 202, taken)
    check("it says where its batch is", headers["Location"], f"/v1/message-jobs/{taken['batch_id']}")
    until = time.monotonic() + 60
    while (batch := call(f"{jobs}/{taken['batch_id']}", key=key)[2])["counts"]["delivered"] < 3 and time.monotonic() < until:
        time.sleep(0.5)
    check("workers deliver it, once to each", (batch["counts"]["delivered"], batch["duplicates"]), (3, 1), batch)
    status, _, page = call(f"{jobs}?batch_id={taken['batch_id']}", key=key)
    check("its jobs are listed", (status, len(page["items"])), (200, 3), page)

    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    status, _, taken = call(f"{api}/v1/messages", key=key, headers=app, body={"to": to, "text": "later", "deliver_at": later})
    check("a message for later: 202", (status, taken.get("state")), (202, "scheduled"), taken)
    status, _, cancelled = call(f"{jobs}/{taken['job_id']}", key=key, method="DELETE")
    check("it is taken back", (status, cancelled.get("state")), (200, "cancelled"), cancelled)
    status, _, past = call(f"{jobs}/{sent['job_id']}", key=key, method="DELETE")
    check("one that was sent is not: 409", (status, past.get("code")), (409, "message_job_past"), past)
    status, _, page = call(f"{jobs}?state=delivered", key=key)
    check("six were delivered", (status, len(page["items"])), (200, 6), page)
    status, _, page = call(f"{api}/v1/dead-letters", key=key)
    check("there is no dead letter", (status, page.get("items")), (200, []), page)
    status, _, letter = call(f"{api}/v1/dead-letters/{sent['job_id']}", key=key)
    check("and none of this job: 404", (status, letter.get("code")), (404, "dead_letter_not_found"), letter)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    status, _, taken = call(f"{api}/v1/messages", key=key, headers=app, body={"to": to, "text": "soon", "deliver_at": soon})
    check("a message for soon: 202", status, 202, taken)
    time.sleep(3)
    event = schedule_input(stack, "EnqueueDueFunctionEveryMinute", "rate(1 minute)")
    answer = boto3.client("lambda").invoke(FunctionName=outputs(stack)["EnqueueDueFunctionName"], Payload=json.dumps(event))
    check("the scheduled run queues it", answer.get("FunctionError"), None, answer["Payload"].read().decode())
    until = time.monotonic() + 60
    while (job := call(f"{jobs}/{taken['job_id']}", key=key)[2]).get("state") != "delivered" and time.monotonic() < until:
        time.sleep(0.5)
    check("and a worker delivers it", job.get("state"), "delivered", job)
    check("seven messages in all", len(delivered()), 7)

    message = f"{api}/v1/messages/{sent['delivered']['message_id']}"
    status, headers, reply = call(f"{message}/replies", key=key, headers=app, body={"text": "reply"})
    check("a reply: 200", (status, reply.get("state")), (200, "delivered"), reply)
    check("it has a job as well", headers["Location"], f"/v1/message-jobs/{reply['job_id']}")
    status, _, body = call(f"{api}/v1/messages/{reply['delivered']['message_id']}", key=key, headers=app)
    check("it is below its message", (status, body.get("parent_id")), (200, sent["delivered"]["message_id"]), body)
    check("an edit: 204", call(message, key=key, headers=app, method="PATCH", body={"text": "edited"})[0], 204)
    status, _, body = call(message, key=key, headers=app)
    check("the message says it", (status, body.get("content")), (200, '{"text":"edited"}'), body)
    check("a recall: 204", call(message, key=key, headers=app, method="DELETE")[0], 204)
    check("and again: 204", call(message, key=key, headers=app, method="DELETE")[0], 204)
    status, _, body = call(f"{api}/v1/messages/om_1", key=key, headers=app)
    check("an unknown message: 404", (status, body.get("code")), (404, "message_not_found"), body)


def callbacks(api, admin, app, simulator):
    """The end of a message is posted to the address of its API key: here to a name that nobody has, so it is tried again later."""
    wanted = {"name": "callbacks", "scopes": ["messages:send"], "apps": [app["X-Lark-App-Id"]]}
    for inside in ["http://example.com/", "https://169.254.169.254/", "https://localhost/", "https://[::ffff:10.0.0.1]/"]:
        status, _, body = call(f"{api}/v1/api-keys", key=admin, body={**wanted, "callback_url": inside})
        check(f"no callbacks to {inside}: 400", (status, body["errors"][0]["field"]), (400, "callback_url"), body)
    status, _, made = call(f"{api}/v1/api-keys", key=admin, body={**wanted, "callback_url": "https://callbacks.invalid/"})
    check("a key with callbacks: 201", (status, str(made.get("callback_secret"))[:6]), (201, "whsec_"))
    shown = call(f"{api}/v1/api-keys/{made['key_id']}", key=admin)[2]
    check("its secret is shown once", (shown["callback_url"], "callback_secret" in shown), ("https://callbacks.invalid/", False), shown)
    user = simulator.user(24, app["X-Lark-App-Id"])
    status, _, sent = call(f"{api}/v1/messages", key=made["key"], body={"to": {"open_id": user["open_id"]}, "text": "told"})
    check("a message of it: 200", (status, sent.get("state")), (200, "delivered"), sent)
    until = time.monotonic() + 60
    while (job := call(f"{api}/v1/message-jobs/{sent['job_id']}", key=made["key"])[2])["callback"]["attempts"] == 0 and time.monotonic() < until:
        time.sleep(0.5)
    check("a worker tries to tell its end", (job["callback"]["state"], job["callback"]["attempts"] > 0), ("pending", True), job)
    check("the key is revoked: 204", call(f"{api}/v1/api-keys/{made['key_id']}", key=admin, method="DELETE")[0], 204)


def form(**parts):
    """The headers and the body of a form."""
    lines = [b"--b0\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n" % (name.encode(), content)
             for name, content in parts.items()]
    return {"Content-Type": "multipart/form-data; boundary=b0"}, b"".join(lines) + b"--b0--\r\n"


def uploads(api, key, app):
    """An image and a file, which is no text: on the way through the gateway it is Base64."""
    headers, body = form(image=b"GIF89a\x02\x00\x02\x00\x80\xff\xfe;", image_type=b"message")
    status, _, image = call(f"{api}/v1/images", key=key, headers={**app, **headers}, body=body)
    check("an image is uploaded: 200", (status, str(image.get("image_key"))[:4]), (200, "img_"), image)
    headers, body = form(file=bytes(range(256)) * 4096, file_name="报告.bin".encode(), duration=b"")
    status, _, file = call(f"{api}/v1/files", key=key, headers={**app, **headers}, body=body)
    check("a file of 1 MB is uploaded: 200", (status, str(file.get("file_key"))[:5]), (200, "file_"), file)
    large = bytes(range(256)) * 4096 * 20
    status, _, new = call(f"{api}/v1/uploads", key=key, headers=app, body={"kind": "file", "size": len(large)})
    check("an address for 20 MB: 201", status, 201, new)
    status, _, put = call(new["url"], headers=new["headers"], method=new["method"], body=large)
    check("the bucket takes it: 200", status, 200, put)
    status, _, file = call(f"{api}/v1/files", key=key, headers=app, body={"upload_id": new["upload_id"], "file_name": "large.bin"})
    check("20 MB are uploaded from there: 200", (status, str(file.get("file_key"))[:5]), (200, "file_"), file)
    status, _, gone = call(f"{api}/v1/files", key=key, headers=app, body={"upload_id": new["upload_id"]})
    check("then it is gone: 404", (status, gone.get("code")), (404, "upload_not_found"), gone)
    headers, body = form(image=b"no picture")
    status, _, wrong = call(f"{api}/v1/images", key=key, headers={**app, **headers}, body=body)
    check("what is no image is not: 400", (status, wrong["errors"][0]["field"]), (400, "image"), wrong)


def main(arguments):
    api, key, app = arguments.api, arguments.key, {"X-Lark-App-Id": arguments.app}
    simulator = Simulator(arguments.simulator)
    open_id = simulator.user(1, arguments.app)["open_id"]
    unknown = "ou_" + "0" * 32
    user = f"{api}/v1/users/{open_id}?id_type=open_id"

    status, _, body = call(f"{api}/health")
    check("health answers without a key", status, 200, body)
    status, _, body = call(f"{api}/health/ready")
    check("health/ready reaches its dependencies", status, 200, body)
    check("none of that called Lark", simulator.counters()[0], {})

    check("no key: 401", call(user, headers=app)[0], 401)
    check("a wrong key: 403", call(user, key=key[:-1] + ("1" if key[-1] != "1" else "2"), headers=app)[0], 403)
    check("not a key at all: 403", call(user, key="nonsense", headers=app)[0], 403)
    check("an unknown route: 404", call(f"{api}/v1/nothing-here", key=key, headers=app)[0], 404)
    check("none of that called Lark either", simulator.counters()[0], {})

    status, headers, body = call(user, key=key, headers=app)
    check("a user: 200", status, 200, body)
    check("it is the requested one", body.get("open_id"), open_id, body)
    check("the first answer is not from the cache", "hit" in headers.get("Cache-Status", ""), False)
    check("it has a request id", bool(headers.get("X-Request-Id")), True)
    status, headers, body = call(user, key=key, headers=app)
    check("the same user again: 200", status, 200, body)
    check("the second answer is from the cache", "hit" in headers.get("Cache-Status", ""), True, headers)
    requests, issued = simulator.counters()
    check("that took one token", issued, 1, requests)
    check("and two requests to the platform, one for the token and one for the user", sum(requests.values()), 2, requests)

    status, headers, body = call(f"{api}/v1/users/{unknown}?id_type=open_id", key=key, headers=app)
    check("an unknown user: 404", status, 404, body)
    check("as a problem document", headers.get_content_type(), "application/problem+json")
    check("with its code", body.get("code"), "user_not_found", body)
    status, _, body = call(f"{api}/v1/users/{open_id}?id_type=email", key=key, headers=app)
    check("a wrong id_type: 400", status, 400, body)

    status, _, body = call(f"{api}/v1/tokens/tenant", key=key, headers=app)
    check("a tenant token: 200", status, 200, body)
    check("it is the one that was already there", simulator.counters()[1], 1)
    check("the scheduled refresh runs", refresh(arguments.stack), None)
    check("and does not refresh a token that is not due", simulator.counters()[1], 1)

    directory(api, key, app, simulator)
    warm_up(api, key, app, simulator, arguments.stack)
    api_keys(api, key, app, user)
    revocation(api, key, app, user)
    apps(api, key, simulator, arguments.stack)
    messages(api, key, app, simulator, arguments.stack)
    callbacks(api, key, app, simulator)
    uploads(api, key, app)
    login(api, key, app, simulator)
    marketplace(api, key, *arguments.marketplace_app.split(":"), simulator,
                outputs(arguments.stack)["StoreAppTicketFunctionName"])
    print(f"smoke test passed; the platform saw {simulator.counters()[0]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, meaning in {"stack": "its name", "api": "address of its API", "simulator": "address of the simulator",
                          "app": "app id", "key": "API key with the scope admin",
                          "marketplace-app": "ID:SECRET:TENANT of one that the simulator has"}.items():
        parser.add_argument(f"--{name}", required=True, help=meaning)
    main(parser.parse_args())
