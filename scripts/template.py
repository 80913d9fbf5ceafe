"""template.yaml as plain data, for the other scripts. `!Ref X` becomes {"Ref": "X"} and so on.

`template.py USER` prints what a user of the cache may do, in the words of `ACL SETUSER`.
"""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Loader(yaml.SafeLoader):
    """Understands CloudFormation's short forms."""


def _short_form(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _short_form)


def read():
    return yaml.load((ROOT / "template.yaml").read_text(), Loader)


def resources(template, kind):
    return {name: it for name, it in template["Resources"].items() if it["Type"] == kind}


def table_variable(logical_id):
    """ApiKeysTable -> LARK_SERVICE_API_KEYS_TABLE"""
    return "LARK_SERVICE_" + "_".join(re.findall(r"[A-Z][a-z0-9]*", logical_id)).upper()


if __name__ == "__main__":
    print(read()["Resources"][sys.argv[1]]["Properties"]["AccessString"])
