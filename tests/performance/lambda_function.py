"""A function under AWS's own Lambda runtime interface emulator, for the benchmarks, and Markdown for what they find."""

import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
EMULATOR = ROOT / ".tools" / "bin" / "aws-lambda-rie"
PATH = "/2015-03-31/functions/function/invocations"
INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")


class Function:
    """A bootstrap that runs inside a `with` block. The emulator takes one call at a time."""

    def __init__(self, bootstrap, environment, log, timeout_seconds=60):
        self.bootstrap = pathlib.Path(bootstrap)
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "AWS_LAMBDA_FUNCTION_NAME": self.bootstrap.parent.name,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            **environment,
        }
        self.log = pathlib.Path(log)
        self.timeout = timeout_seconds + 30

    def __enter__(self):
        (self.port, runtime_port) = free_ports(2)
        # Both addresses, always: their defaults listen on every interface.
        addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{self.port}",
                     "--runtime-api-address", f"127.0.0.1:{runtime_port}"]
        with self.log.open("wb") as log:
            self.emulator = subprocess.Popen([EMULATOR, *addresses, self.bootstrap], env=self.environment,
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        self._await_port()
        return self

    def __exit__(self, *_):
        self.connection.close()
        function = self.process_id()
        self.emulator.kill()
        self.emulator.wait()
        if function:
            kill(function)

    def _await_port(self):
        for _ in range(400):
            try:
                self.connection.connect()
                return
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise SystemExit(f"the emulator did not start; see {self.log.relative_to(ROOT)}")

    def call(self, event):
        """Sends `event` (bytes); answers the answer's bytes and the milliseconds it took. The first call starts the function."""
        started = time.perf_counter()
        self.connection.request("POST", PATH, body=event)
        answer = self.connection.getresponse().read()
        return answer, (time.perf_counter() - started) * 1000

    def init_ms(self):
        """The emulator's own measure of the cold start: from starting the process until it asks for its first event."""
        for _ in range(200):
            found = INIT.search(self.log.read_text(errors="replace"))
            if found:
                return float(found.group(1))
            time.sleep(0.01)
        raise SystemExit(f"the emulator reported no cold start; see {self.log.relative_to(ROOT)}")

    def process_id(self):
        """The function's process, once the first call has started it: the emulator's child."""
        for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                (_, _, rest) = entry.read_text().rpartition(")")
            except OSError:
                continue
            if int(rest.split()[1]) == self.emulator.pid:
                return int(entry.parent.name)
        return None


def bootstrap(name):
    return TARGET / "lambda" / name / "bootstrap"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def kill(process_id):
    try:
        os.kill(process_id, signal.SIGKILL)
    except ProcessLookupError:
        pass


def read_environment(path):
    """NAME=value lines, a later one over an earlier."""
    lines = pathlib.Path(path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("| " + " | ".join("---" for _ in header) + " |")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)
