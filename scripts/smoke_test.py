"""The main paths of a deployed stack, through its API. Stops at the first difference with exit status 1."""

import argparse
import json
import sys
import urllib.error
import urllib.request

import boto3

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(url, *, key=None, headers=None):
    """Status, headers and JSON body of a GET."""
    headers = dict(headers or {})
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        response = DIRECT.open(urllib.request.Request(url, headers=headers), timeout=60)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        text = response.read().decode()
    try:
        return response.status, response.headers, json.loads(text)
    except ValueError:
        return response.status, response.headers, text


def check(what, actual, expected, context=""):
    if actual != expected:
        sys.exit(f"{what}: expected {expected!r}, got {actual!r} {context}")
    print(f"ok  {what}")


class Simulator:
    def __init__(self, url):
        self.url = url

    def user(self, number, app_id):
        """The profile that the platform shows to an app."""
        status, _, body = call(f"{self.url}/_sim/users/{number}?app_id={app_id}")
        check(f"the simulator knows user {number}", status, 200, body)
        return body

    def counters(self):
        """Requests by endpoint that had any, and tokens issued."""
        body = call(f"{self.url}/_sim/counters")[2]
        return {name: it["requests"] for name, it in body["endpoints"].items() if it["requests"]}, body["tokens_issued"]


def outputs(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {it["OutputKey"]: it["OutputValue"] for it in described["Outputs"]}


def schedule_input(stack):
    """What the schedule sends, as EventBridge Scheduler would fill it in."""
    resources = boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    [schedule] = [it for it in resources if it["ResourceType"] == "AWS::Scheduler::Schedule"]
    described = boto3.client("scheduler").get_schedule(Name=schedule["PhysicalResourceId"].rpartition("/")[2])
    check("the schedule runs every minute", described["ScheduleExpression"], "rate(1 minute)")
    for attribute, value in {"scheduled-time": "2026-11-22T08:00:00Z", "execution-id": "smoke-test",
                             "attempt-number": "1"}.items():
        described["Target"]["Input"] = described["Target"]["Input"].replace(f"<aws.scheduler.{attribute}>", value)
    return json.loads(described["Target"]["Input"])


def main(arguments):
    api, key, app = arguments.api, arguments.key, {"X-Lark-App-Id": arguments.app}
    simulator = Simulator(arguments.simulator)
    open_id = simulator.user(1, arguments.app)["open_id"]
    unknown = "ou_" + "0" * 32
    user = f"{api}/v1/users/{open_id}?id_type=open_id"

    status, _, body = call(f"{api}/health")
    check("health answers without a key", status, 200, body)
    status, _, body = call(f"{api}/health/ready")
    check("health/ready reaches what it depends on", status, 200, body)
    check("none of that called Lark", simulator.counters()[0], {})

    check("no key: 401", call(user, headers=app)[0], 401)
    check("a wrong key: 403", call(user, key=key[:-1] + ("1" if key[-1] != "1" else "2"), headers=app)[0], 403)
    check("not a key at all: 403", call(user, key="nonsense", headers=app)[0], 403)
    check("an unknown route: 404", call(f"{api}/v1/nothing-here", key=key, headers=app)[0], 404)
    check("none of that called Lark either", simulator.counters()[0], {})

    status, headers, body = call(user, key=key, headers=app)
    check("a user: 200", status, 200, body)
    check("it is the one asked for", body.get("open_id"), open_id, body)
    check("the first answer is not from the cache", "hit" in headers.get("Cache-Status", ""), False)
    check("it has a request id", bool(headers.get("X-Request-Id")), True)
    status, headers, body = call(user, key=key, headers=app)
    check("the same user again: 200", status, 200, body)
    check("the second answer is from the cache", "hit" in headers.get("Cache-Status", ""), True, headers)
    requests, issued = simulator.counters()
    check("that took one token", issued, 1, requests)
    check("and two requests of the platform, one for the token and one for the user", sum(requests.values()), 2, requests)

    status, headers, body = call(f"{api}/v1/users/{unknown}?id_type=open_id", key=key, headers=app)
    check("an unknown user: 404", status, 404, body)
    check("as a problem document", headers.get_content_type(), "application/problem+json")
    check("with its code", body.get("code"), "user_not_found", body)
    status, _, body = call(f"{api}/v1/users/{open_id}?id_type=email", key=key, headers=app)
    check("a wrong id_type: 400", status, 400, body)

    status, _, body = call(f"{api}/v1/tokens/tenant", key=key, headers=app)
    check("a tenant token: 200", status, 200, body)
    check("it is the one that was already there", simulator.counters()[1], 1)

    answer = boto3.client("lambda").invoke(FunctionName=outputs(arguments.stack)["RefreshTokensFunctionName"],
                                           Payload=json.dumps(schedule_input(arguments.stack)))
    payload = answer["Payload"].read().decode()
    check("the scheduled refresh runs", answer.get("FunctionError"), None, payload)
    check("and leaves a token alone that is not due", simulator.counters()[1], 1, payload)
    print(f"smoke test passed; the platform saw {simulator.counters()[0]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, meaning in {"stack": "its name", "api": "address of its API", "simulator": "address of the simulator",
                          "app": "app id", "key": "API key"}.items():
        parser.add_argument(f"--{name}", required=True, help=meaning)
    main(parser.parse_args())
