"""Joins empty Valkey nodes to a cluster: `valkey_cluster.py PORT:BUS_PORT…`, and waits until it is ready."""

import socket
import sys
import time

SLOTS = 16384


def call(port, *words):
    """Sends one command and reads one short answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        connection.sendall(request.encode())
        answer = connection.makefile("rb")
        first = answer.readline().decode().strip()
        if first.startswith("-"):
            sys.exit(f"node {port}: {' '.join(words)}: {first[1:]}")
        return answer.read(int(first[1:])).decode() if first.startswith("$") else first


def is_ready(port, nodes):
    info = call(port, "CLUSTER", "INFO")
    return "cluster_state:ok" in info and f"cluster_known_nodes:{nodes}\r" in info


def main(addresses):
    nodes = [tuple(map(int, address.split(":"))) for address in addresses]
    share = -(-SLOTS // len(nodes))
    for index, (port, _) in enumerate(nodes):
        call(port, "CLUSTER", "ADDSLOTSRANGE", str(index * share), str(min((index + 1) * share, SLOTS) - 1))
        call(port, "CLUSTER", "SET-CONFIG-EPOCH", str(index + 1))
    for port, bus_port in nodes[1:]:
        call(nodes[0][0], "CLUSTER", "MEET", "127.0.0.1", str(port), str(bus_port))
    deadline = time.monotonic() + 20
    while not all(is_ready(port, len(nodes)) for port, _ in nodes):
        if time.monotonic() > deadline:
            sys.exit("the cluster is not ready after 20 s:\n" + call(nodes[0][0], "CLUSTER", "INFO"))
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1:])
