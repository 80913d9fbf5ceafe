"""Cold start and warm calls of `get-user` beside an empty function: `invoke.py ENVIRONMENT SIMULATOR_URL LOGS`.

Everything is interleaved, so that whatever else the machine does hits all alike. A ratio is the median of the ratios of
neighbouring measurements. COMPARE="thin=FILE small=FILE" in the environment puts further builds of `get-user` beside it.
"""

import contextlib
import io
import json
import os
import pathlib
import statistics
import sys
import urllib.request
import zipfile

from lambda_function import ROOT, Function, bootstrap, read_environment, table

APP_ID = "cli_demo000001"
COLD_STARTS = 40
ROUNDS = 60
CALLS_PER_ROUND = 50
USERS = 500


def main(environment_file, simulator_url, logs):
    environment = read_environment(environment_file)
    logs = pathlib.Path(logs)
    # Nothing fits into a local cache of one byte, so that every call asks Valkey.
    without_local_cache = {**environment, "LARK_SERVICE_LOCAL_CACHE_BYTES": "1"}
    others = dict(each.split("=", 1) for each in os.environ.get("COMPARE", "").split())
    builds = {name: bootstrap(name) for name in ("empty-function", "get-user")}
    builds |= {f"get-user, {name}": pathlib.Path(file) for name, file in others.items()}
    events = [event_for(open_id(simulator_url, number)) for number in range(1, USERS + 1)]
    sizes(builds)
    cold_starts(builds, environment, logs, events[0])
    with contextlib.ExitStack() as running:
        def start(name, log, variables):
            return running.enter_context(Function(builds[name], variables, logs / log))

        l1 = start("get-user", "l1.log", environment)
        l2 = start("get-user", "l2.log", without_local_cache)
        for event in events:
            l2.call(event)
            l1.call(event)
        cases = [
            ("empty function", start("empty-function", "empty.log", {}), events[:1], ""),
            ("`get-user`, L1 hit", l1, events[:1], "detail=memory"),
            (f"`get-user`, L1 hit, {USERS} users in turn", l1, events, "detail=memory"),
            (f"`get-user`, L2 hit, {USERS} users in turn", l2, events, "detail=valkey"),
        ]
        for number, name in enumerate(others):
            other = start(f"get-user, {name}", f"other-{number}.log", environment)
            cases.append((f"`get-user`, L1 hit, {name}", other, events[:1], "detail=memory"))
            other = start(f"get-user, {name}", f"other-{number}-l2.log", without_local_cache)
            cases.append((f"`get-user`, L2 hit, {USERS} users in turn, {name}", other, events, "detail=valkey"))
        warm_calls(cases)


def sizes(builds):
    rows = []
    for name, file in builds.items():
        content = file.read_bytes()
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("bootstrap", content)
        rows.append((f"`{name}`", f"{len(content) / 1e6:.2f}", f"{archive.tell() / 1e6:.2f}"))
    table(("size", "bootstrap, MB", "zip, MB"), rows)


def cold_starts(builds, environment, logs, event):
    """The first start of each reads its pages from the disk and does not count."""
    found = {name: [] for name in builds}
    for turn in range(COLD_STARTS + 1):
        for name, figures in found.items():
            with Function(builds[name], environment, logs / "cold.log") as function:
                (_, first_call) = function.call(event)
                if turn:
                    figures.append((function.init_ms(), first_call))
    floor = found["empty-function"]
    rows = []
    for name, figures in found.items():
        init = [each for each, _ in figures]
        ratio = statistics.median(mine / its for (mine, _), (its, _) in zip(figures, floor))
        rows.append((f"`{name}`", *quantiles(init), f"{ratio:.2f}", f"{statistics.median(call for _, call in figures):.1f}"))
    table((f"init, {COLD_STARTS} cold starts each, ms", "p50", "p90", "× empty", "start and first call, p50"), rows)


def warm_calls(cases):
    """Blocks of calls in turn; the first round warms up."""
    found = {name: [] for name, *_ in cases}
    for turn in range(ROUNDS + 1):
        for name, function, events, detail in cases:
            block = []
            for number in range(CALLS_PER_ROUND):
                (answer, took) = function.call(events[(turn * CALLS_PER_ROUND + number) % len(events)])
                if is_answered(answer, detail):
                    block.append(took)
            if len(block) < CALLS_PER_ROUND * 0.9:
                sys.exit(f"{name}: not the answers that were to be measured, such as {answer.decode()[:600]}")
            if turn:
                found[name].append(block)
    floor = [statistics.median(block) for block in next(iter(found.values()))]
    rows = []
    for name, blocks in found.items():
        ratio = statistics.median(statistics.median(block) / its for block, its in zip(blocks, floor))
        rows.append((name, *quantiles([call for block in blocks for call in block], 3), f"{ratio:.2f}"))
    table((f"warm call, {ROUNDS * CALLS_PER_ROUND} each, ms", "p50", "p90", "× empty"), rows)


def quantiles(values, digits=1):
    return f"{statistics.median(values):.{digits}f}", f"{statistics.quantiles(values, n=10)[-1]:.{digits}f}"


def is_answered(answer, detail):
    """Whether the call succeeded and the tier in question answered: others do when Valkey takes more than 50 ms."""
    answer = json.loads(answer)
    return answer.get("statusCode") == 200 and detail in answer["headers"].get("cache-status", "")


def event_for(user_id):
    event = json.loads((ROOT / "events" / "get-user.json").read_text())
    event["rawPath"] = f"/v1/users/{user_id}"
    event["pathParameters"] = {"id": user_id}
    return json.dumps(event).encode()


def open_id(simulator_url, number):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{simulator_url}/_sim/users/{number}?app_id={APP_ID}", timeout=10) as response:
        return json.load(response)["open_id"]


if __name__ == "__main__":
    main(*sys.argv[1:])
