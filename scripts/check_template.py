"""One name everywhere: each function has its crate, artefact folder, sample event and entry in env.json, and no extras."""

import json
import sys

import template
from template import ROOT


def main():
    document = template.read()
    functions = template.resources(document, "AWS::Serverless::Function")
    variables = document["Globals"]["Function"]["Environment"]["Variables"]
    samples = json.loads((ROOT / "events" / "env.json").read_text())
    problems = []
    for logical_id, function in functions.items():
        name = template.crate_name(logical_id)
        wanted = f"target/lambda/{name}/"
        if function["Properties"].get("CodeUri") != wanted:
            problems.append(f"{logical_id}: CodeUri is not {wanted}")
        if not logical_id.endswith("Function"):
            problems.append(f"{logical_id}: the name does not end in Function")
        if not (ROOT / "functions" / name / "Cargo.toml").is_file():
            problems.append(f"{logical_id}: there is no crate functions/{name}")
        if not (ROOT / "events" / f"{name}.json").is_file():
            problems.append(f"{logical_id}: there is no sample event events/{name}.json")
        if logical_id not in samples:
            problems.append(f"{logical_id}: it has no entry in events/env.json")
        if f"{logical_id}Name" not in document["Outputs"]:
            problems.append(f"{logical_id}: there is no output {logical_id}Name")
    crates = {path.parent.name for path in ROOT.glob("functions/*/Cargo.toml")}
    for name in sorted(crates - {template.crate_name(logical_id) for logical_id in functions}):
        problems.append(f"functions/{name}: it is not in template.yaml")
    for logical_id, values in samples.items():
        if logical_id not in functions:
            problems.append(f"events/env.json: there is no {logical_id} in template.yaml")
        # `sam local invoke` passes on only what the template declares.
        for variable in sorted(set(values) - set(variables)):
            problems.append(f"events/env.json: {logical_id} sets {variable}, which template.yaml does not declare")
    for path in sorted((ROOT / "events").glob("*.json")):
        json.loads(path.read_text())
    if problems:
        sys.exit("\n".join(problems))
    print(f"template.yaml: {len(functions)} functions, each with its crate, artefact, event, variables and output")


if __name__ == "__main__":
    main()
