"""The scheduled run in a table of 100,000 tokens, 10,000 of them due: `refresh.py ENVIRONMENT SIMULATOR_URL LOGS`.
One run; one that is killed half-way and the next, which finishes the rest; two at once; and some with an app for which the
platform hangs. Fails when a token is issued twice or is not stored, except that an app that hangs may keep others waiting:
that is what is measured."""

import concurrent.futures
import dataclasses
import http.client
import json
import os
import pathlib
import sys
import time
import urllib.request

from lambda_function import ROOT, Function, bootstrap, kill, read_environment, table
from records import DIRECT, Records

RECORDS = 100_000
APPS = 10_000
FAIR_APPS = 1_000
HANGING_TOKENS = (2_000, 10_000)
LEASE_SECONDS = 15
ENDPOINT = "auth.tenant_access_token.internal"
EVENT = (ROOT / "events" / "refresh-tokens.json").read_bytes()


def main(environment_file, simulator_url, logs):
    bench = Bench(read_environment(environment_file), Simulator(simulator_url), pathlib.Path(logs))
    bench.records.add_far(RECORDS - APPS)
    bench.throughput()
    bench.fairness()


class Bench:
    def __init__(self, environment, simulator, logs):
        self.simulator = simulator
        self.records = Records(environment)
        self.refresh = Refresh(environment, logs)
        self.seeded = 0

    def throughput(self):
        runs, requests = [], []

        apps = self.due(APPS)
        size = self.records.count()
        if size != RECORDS:
            sys.exit(f"the table has {size} records")
        self.begin()
        runs.append(self.refresh.run("a whole run", self.simulator))
        requests.append(self.end("a whole run", apps))

        apps = self.due(APPS)
        self.begin()
        runs.append(self.refresh.run("a run, killed half-way", self.simulator, self.killing_after(APPS // 2)))
        time.sleep(LEASE_SECONDS)
        runs.append(self.refresh.run("the next run", self.simulator))
        requests.append(self.end("a run, killed half-way, and the next", apps))

        apps = self.due(APPS)
        self.begin()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            names = ("one of two at once", "the other")
            runs += pool.map(lambda name: self.refresh.run(name, self.simulator), names)
        requests.append(self.end("two at once", apps))

        table(("run", "time, s", "due", "refreshed", "skipped", "failed", "refreshed/s", "token requests so far",
               "tokens issued so far", "peak memory, MB", "CPU, s"), [run.row() for run in runs])
        operations = sorted({operation for (_, counts) in requests for operation in counts})
        table(("DynamoDB requests", "all", "for each token", *operations),
              [(name, sum(counts.values()), f"{sum(counts.values()) / APPS:.2f}", *(counts.get(each, 0) for each in operations))
               for (name, counts) in requests])
        print(f"Every one of these {self.seeded:,} apps was issued exactly one token, and all of them are stored.\n")

    def fairness(self):
        rows = [self.healthy("alone")]
        rows += [self.healthy(f"and {tokens:,} tokens of an app that hangs", tokens) for tokens in HANGING_TOKENS]
        table((f"{FAIR_APPS:,} apps", "until they are done, s", "the run, s", "due", "refreshed", "failed", "left", "partial"), rows)

    def healthy(self, name, hanging=0):
        apps = self.due(FAIR_APPS)
        if hanging:
            (bad,) = self.due(1)
            self.simulator.hang(bad)
            self.records.add_due(bad, hanging - 1)
        self.begin()
        done = None

        def watch(seconds, _):
            nonlocal done
            if done is None and self.simulator.issued() >= FAIR_APPS:
                done = f"{seconds:.1f}"
        run = self.refresh.run(name, self.simulator, watch)
        if done:
            self.end(name, apps)
        if hanging:
            self.simulator.clear_faults()
            self.records.remove_due(bad, hanging - 1)
        return (name, done or f"only {run.tokens_issued} in this run",
                *run.cells("seconds", "due", "refreshed", "failed", "left", "is_partial"))

    def due(self, count):
        """That many more apps, each with a token that is due."""
        apps = [f"cli_sim{self.seeded + number:06}" for number in range(1, count + 1)]
        self.seeded += count
        self.records.seed(apps)
        return apps

    def killing_after(self, requests):
        killed = False

        def watch(_, process_id):
            nonlocal killed
            if process_id and not killed and self.simulator.requests() >= requests:
                kill(process_id)
                killed = True
        return watch

    def begin(self):
        self.simulator.reset()
        self.records.reset_requests()

    def end(self, name, apps):
        """What the runs since `begin` asked of the DynamoDB API. Every one of `apps` has one token now."""
        requests = self.records.requests()
        issued = self.simulator.issued_by_app()
        wrong = {each: issued.get(each, 0) for each in apps if issued.get(each, 0) != 1}
        if wrong:
            sys.exit(f"{name}: not issued exactly once: {len(wrong)} apps, such as {list(wrong.items())[:3]}")
        missing = set(apps) - self.records.stored(apps)
        if missing:
            sys.exit(f"{name}: not stored: {len(missing)} tokens, such as {sorted(missing)[:3]}")
        return name, requests


@dataclasses.dataclass
class Run:
    name: str
    seconds: float
    report: dict
    token_requests: int
    tokens_issued: int
    peak: int
    cpu_seconds: float

    def row(self):
        refreshed = self.report.get("refreshed")
        rate = "–" if refreshed is None else f"{refreshed / self.seconds:.0f}"
        return (self.name, *self.cells("seconds", "due", "refreshed", "skipped", "failed"), rate, self.token_requests,
                self.tokens_issued, f"{self.peak / 1e6:.0f}", f"{self.cpu_seconds:.1f}")

    def cells(self, *names):
        known = {"seconds": f"{self.seconds:.1f}", **self.report}
        cells = [known.get(name, "–") for name in names]
        return [("yes" if cell else "no") if isinstance(cell, bool) else cell for cell in cells]


class Refresh:
    """`refresh-tokens`, a cold start for each run."""

    def __init__(self, environment, logs):
        self.environment = environment
        self.logs = logs
        self.bootstrap = bootstrap("refresh-tokens")

    def run(self, name, simulator, watch=lambda seconds, process_id: None):
        """`watch` is called 20 times a second, as long as the run lasts."""
        log = self.logs / f"{name.replace(' ', '-').replace(',', '')}.log"
        with Function(self.bootstrap, self.environment, log) as function:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                started = time.perf_counter()
                called = pool.submit(function.call, EVENT)
                peak, cpu = 0, 0
                while not called.done():
                    process_id = function.process_id()
                    peak, cpu = max(peak, peak_memory(process_id)), max(cpu, cpu_seconds(process_id))
                    watch(time.perf_counter() - started, process_id)
                    time.sleep(0.05)
            seconds = time.perf_counter() - started
            watch(seconds, process_id)
            peak, cpu = max(peak, peak_memory(process_id)), max(cpu, cpu_seconds(process_id))
        return Run(name, seconds, report(called), simulator.requests(), simulator.issued(), peak, cpu)


def report(called):
    """What the run says that it did; nothing when it was killed."""
    try:
        (answer, _) = called.result()
        said = json.loads(answer)
    except (http.client.HTTPException, OSError, ValueError):
        return {}
    return said if "due" in said else {}


def peak_memory(process_id):
    """The most physical memory that the process ever had, in bytes."""
    try:
        status = pathlib.Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def cpu_seconds(process_id):
    """The processor time that the process has used."""
    try:
        stat = pathlib.Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return 0
    (user, system) = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Simulator:
    def __init__(self, url):
        self.url = url

    def ask(self, method, path, body=None):
        body = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path}", body, {"Content-Type": "application/json"}, method=method)
        with DIRECT.open(request, timeout=30) as response:
            return json.load(response)

    def reset(self):
        self.ask("POST", "counters/reset")

    def requests(self):
        return self.ask("GET", "counters")["endpoints"][ENDPOINT]["requests"]

    def issued(self):
        return self.ask("GET", "counters")["tokens_issued"]

    def issued_by_app(self):
        return {app_id: each["tokens_issued"] for app_id, each in self.ask("GET", "counters?apps=true")["apps"].items()}

    def hang(self, app_id):
        self.ask("POST", "faults", {"faults": [{"endpoint": ENDPOINT, "app_id": app_id, "action": "hang"}]})

    def clear_faults(self):
        self.ask("DELETE", "faults")


if __name__ == "__main__":
    main(*sys.argv[1:])
