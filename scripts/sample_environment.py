"""The variables of one function in events/env.json as NAME=value lines: `sample_environment.py get-user`."""

import json
import sys

from template import ROOT, crate_name


def main(function):
    for logical_id, variables in json.loads((ROOT / "events" / "env.json").read_text()).items():
        if crate_name(logical_id) == function:
            for name, value in variables.items():
                print(f"{name}={value}")
            return
    sys.exit(f"events/env.json has no entry for {function}")


if __name__ == "__main__":
    main(sys.argv[1])
