"""One scheduled run with 10,000 apps due at once; then a run that is killed half-way, and the next one that finishes the
rest: `bench_refresh.py ENVIRONMENT SIMULATOR_URL LOGS`. Fails when a token is issued twice or is not stored."""

import concurrent.futures
import http.client
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

import boto3

from bench_lambda import ROOT, TARGET, Function, bootstrap, kill, read_environment, table

APPS = 10_000
LEASE_SECONDS = 15
ENDPOINT = "auth.tenant_access_token.internal"
EVENT = (ROOT / "events" / "refresh-tokens.json").read_bytes()
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main(environment_file, simulator_url, logs):
    environment = read_environment(environment_file)
    simulator = Simulator(simulator_url)
    function = Refresh(environment, pathlib.Path(logs))

    first, second = range(1, APPS + 1), range(APPS + 1, 2 * APPS + 1)
    seed(environment, first)
    whole = [function.run("a whole run", simulator)]
    check(environment, simulator, first)

    seed(environment, second)
    simulator.reset()
    killed = [function.run("a run, killed half-way", simulator, kill_after=APPS // 2)]
    time.sleep(LEASE_SECONDS)
    killed.append(function.run("the next run", simulator))
    check(environment, simulator, second)

    header = ("run", "time, s", "due", "refreshed", "failed", "token requests so far", "tokens issued so far", "peak memory, MB")
    table(header, whole + killed)
    print(f"Every one of the {2 * APPS:,} apps was issued exactly one token, and all of them are stored.\n")


class Refresh:
    """`refresh-tokens`, a cold start for each run."""

    def __init__(self, environment, logs):
        self.environment = environment
        self.logs = logs
        self.bootstrap = bootstrap("refresh-tokens")
        self.runs = 0

    def run(self, name, simulator, kill_after=None):
        """A row of the table."""
        self.runs += 1
        with Function(self.bootstrap, self.environment, self.logs / f"run-{self.runs}.log") as function:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                called = pool.submit(function.call, EVENT)
                peak = 0
                while not called.done():
                    process_id = function.process_id()
                    peak = max(peak, peak_memory(process_id))
                    if kill_after and process_id and simulator.requests() >= kill_after:
                        kill(process_id)
                        kill_after = None
                    time.sleep(0.05)
            peak = max(peak, peak_memory(process_id))
            report, seconds = outcome(called)
        return (name, f"{seconds:.1f}", *(report.get(key, "–") for key in ("due", "refreshed", "failed")),
                simulator.requests(), simulator.issued(), f"{peak / 1e6:.0f}")


def outcome(called):
    """What the run reports and how long it took; nothing when it was killed."""
    try:
        (answer, took) = called.result()
        report = json.loads(answer)
    except (http.client.HTTPException, OSError, ValueError):
        return {}, float("nan")
    return (report if "due" in report else {}), took / 1000


def peak_memory(process_id):
    """The most physical memory that the process ever had, in bytes."""
    try:
        status = pathlib.Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


class Simulator:
    def __init__(self, url):
        self.url = url

    def counters(self, query=""):
        with DIRECT.open(f"{self.url}/_sim/counters{query}", timeout=30) as response:
            return json.load(response)

    def reset(self):
        DIRECT.open(urllib.request.Request(f"{self.url}/_sim/counters/reset", method="POST"), timeout=30).close()

    def requests(self):
        return self.counters()["endpoints"][ENDPOINT]["requests"]

    def issued(self):
        return self.counters()["tokens_issued"]

    def issued_by_app(self):
        return {app_id: each["tokens_issued"] for app_id, each in self.counters("?apps=true")["apps"].items()}


def app_id(number):
    return f"cli_sim{number:06}"


def seed(environment, numbers):
    apps = [{"app_id": app_id(number), "secret": f"secret-{app_id(number)}"} for number in numbers]
    subprocess.run([TARGET / "local" / "lark-service", "seed"], input=json.dumps({"apps": apps}).encode(),
                   env=environment, check=True, stdout=subprocess.DEVNULL)


def check(environment, simulator, numbers):
    expected = {app_id(number) for number in numbers}
    issued = simulator.issued_by_app()
    wrong = {each: issued.get(each, 0) for each in expected if issued.get(each, 0) != 1}
    if wrong:
        sys.exit(f"not issued exactly once: {len(wrong)} apps, such as {list(wrong.items())[:3]}")
    missing = expected - stored(environment)
    if missing:
        sys.exit(f"not stored: {len(missing)} tokens, such as {sorted(missing)[:3]}")


def stored(environment):
    """The apps whose tokens are in the store, with nobody renewing them."""
    dynamodb = boto3.client("dynamodb", endpoint_url=environment["AWS_ENDPOINT_URL"])
    pages = dynamodb.get_paginator("scan").paginate(TableName=environment["LARK_SERVICE_TOKENS_TABLE"])
    return {item["pk"]["S"] for page in pages for item in page["Items"] if "value" in item and "leased_until" not in item}


if __name__ == "__main__":
    main(*sys.argv[1:])
