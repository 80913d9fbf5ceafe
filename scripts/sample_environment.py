"""The variables of events/env.json, for every function, as NAME=value lines."""

import json

from template import ROOT


def main():
    variables = json.loads((ROOT / "events" / "env.json").read_text())["Parameters"]
    for name, value in variables.items():
        print(f"{name}={value}")


if __name__ == "__main__":
    main()
