"""The advisories of RustSec about the dependencies in Cargo.lock, kept here for machines that cannot reach the database.

    advisories.py snapshot CLONE    writes scripts/advisories.json from a clone of github.com/RustSec/advisory-db
    advisories.py expand FOLDER     writes them into FOLDER as cargo-audit reads them, and prints the date of the snapshot

The snapshot has the facts of each advisory (which versions, where to read more) and none of its text. RustSec publishes them
under CC0. It knows which crates it was made for: `expand` fails when Cargo.lock has others.
"""

import json
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SNAPSHOT = ROOT / "scripts" / "advisories.json"
FACTS = ["id", "package", "date", "url", "aliases", "informational", "withdrawn"]


def dependencies():
    with open(ROOT / "Cargo.lock", "rb") as lock:
        return sorted({package["name"] for package in tomllib.load(lock)["package"] if "source" in package})


def snapshot(clone):
    def git(*words):
        return subprocess.run(["git", "-C", clone, *words], check=True, capture_output=True, text=True).stdout

    crates, advisories = dependencies(), []
    for path in git("ls-tree", "-r", "--name-only", "HEAD", "crates/").split():
        if path.split("/")[1] in crates:
            head = tomllib.loads(git("show", f"HEAD:{path}").split("```")[1].removeprefix("toml"))
            facts = {name: head["advisory"][name] for name in FACTS if name in head["advisory"]}
            advisories.append(facts | {"versions": head["versions"]})
    lines = ",\n".join("  " + json.dumps(it, sort_keys=True) for it in sorted(advisories, key=lambda it: it["id"]))
    SNAPSHOT.write_text(f'{{"commit": "{git("rev-parse", "HEAD").strip()}",\n'
                        f'"date": "{git("log", "-1", "--format=%cs").strip()}",\n'
                        f'"crates": {json.dumps(crates)},\n"advisories": [\n{lines}\n]}}\n')
    print(f"{len(advisories)} advisories about {len(crates)} crates")


def expand(folder):
    kept = json.loads(SNAPSHOT.read_text())
    if new := sorted(set(dependencies()) - set(kept["crates"])):
        sys.exit(f"the snapshot of {kept['date']} was made before these dependencies: {', '.join(new)}\n"
                 "with the database at hand, run scripts/advisories.py snapshot CLONE")
    for it in kept["advisories"]:
        path = pathlib.Path(folder, "crates", it["package"], f"{it['id']}.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = "\n".join(f"{name} = {json.dumps(it[name])}" for name in FACTS if name in it)
        versions = "\n".join(f"{name} = {json.dumps(value)}" for name, value in it["versions"].items())
        path.write_text(f"```toml\n[advisory]\n{facts}\n\n[versions]\n{versions}\n```\n\n# {it['package']}, {it['id']}\n\n"
                        f"See {it.get('url') or 'https://rustsec.org/advisories/' + it['id'] + '.html'}\n")
    print(kept["date"])


if __name__ == "__main__":
    {"snapshot": snapshot, "expand": expand}[sys.argv[1]](sys.argv[2])
