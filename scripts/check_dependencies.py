"""Reads `cargo metadata` on standard input and checks it against deny.toml: `check_dependencies.py deny.toml`.

The part of cargo-deny that needs no network: allowed licences, denied crates, known sources.
"""

import json
import re
import sys
import tomllib

KNOWN_REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def is_allowed(expression, allowed):
    """Whether the allowed licences satisfy an SPDX expression."""
    # Old manifests separate alternatives by a slash. A WITH exception only permits more.
    tokens = re.findall(r"[()]|[^\s()]+", re.sub(r"\s+WITH\s+\S+", "", expression.replace("/", " OR ")))
    python = [token if token in "()" else token.lower() if token in ("AND", "OR") else str(token in allowed)
              for token in tokens]
    return eval(" ".join(python))  # only parentheses, and, or, True, False


def main(policy_file):
    with open(policy_file, "rb") as file:
        policy = tomllib.load(file)
    allowed = set(policy["licenses"]["allow"])
    denied = {ban["crate"] for ban in policy["bans"].get("deny", [])}
    packages, problems, unused = json.load(sys.stdin)["packages"], [], set(allowed)
    for package in packages:
        name = f"{package['name']} {package['version']}"
        license_ = package["license"] or ""
        unused -= set(re.findall(r"[^\s()/]+", license_))
        if not license_ or not is_allowed(license_, allowed):
            problems.append(f"{name}: licence {license_ or 'not stated'} is not among the allowed ones")
        if package["source"] not in (None, KNOWN_REGISTRY):
            problems.append(f"{name}: comes from {package['source']}")
        if package["name"] in denied:
            problems.append(f"{name}: is denied")
    for name in sorted(unused):
        print(f"warning: the licence {name} is allowed, but no dependency has it")
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(packages)} packages: licences, sources and bans are as {policy_file} says")


if __name__ == "__main__":
    main(sys.argv[1])
