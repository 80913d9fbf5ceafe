"""Requests per second of the local host, a user in its own cache, beside a hello-world: `host.py HOST_LOG HELLO_URL`.

HOST_LOG is where the local host printed its lines to paste. The two take turns; each round is a ratio of neighbours.
"""

import pathlib
import re
import statistics
import subprocess
import sys
import time
import urllib.request

from lambda_function import table

ROUNDS = 7
SECONDS = 5
CONNECTIONS = 32
LINE = re.compile(r"curl -i -H '(Authorization: Bearer \S+)' (http://\S+/v1/users/\S+)")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main(host_log, hello_url):
    (header, user_url) = line_to_paste(pathlib.Path(host_log))
    expect_local_hit(header, user_url)
    hello, user = [], []
    for turn in range(ROUNDS + 1):
        figures = requests_per_second(hello_url), requests_per_second(user_url, header)
        if turn:  # the first round warms up
            hello.append(figures[0])
            user.append(figures[1])
    ratios = [mine / floor for mine, floor in zip(user, hello)]
    table((f"{ROUNDS} rounds of {SECONDS} s, {CONNECTIONS} connections", "requests/s, median", "× hello, median", "lowest to highest"), [
        ("axum hello-world", f"{statistics.median(hello):,.0f}", "1.00", ""),
        ("`GET /v1/users/{id}`, L1 hit", f"{statistics.median(user):,.0f}", f"{statistics.median(ratios):.2f}",
         f"{min(ratios):.2f} to {max(ratios):.2f}"),
    ])


def line_to_paste(host_log):
    """The header with the API key and the URL of a user."""
    for _ in range(100):
        if found := LINE.search(host_log.read_text()):
            return found.groups()
        time.sleep(0.1)
    sys.exit("the local host did not say how to ask for a user")


def expect_local_hit(header, url):
    """The first answer comes from Lark, the second from the process's own cache."""
    request = urllib.request.Request(url, headers=dict([header.split(": ", 1)]))
    for _ in range(2):
        with DIRECT.open(request, timeout=30) as response:
            status = response.headers["cache-status"]
    if "detail=memory" not in status:
        sys.exit(f"not a hit in the process's cache: {status}")


def requests_per_second(url, header="Accept: */*"):
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s", "--header", header, url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"not every request was answered:\n{said}")
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", said).group(1))


if __name__ == "__main__":
    main(*sys.argv[1:])
