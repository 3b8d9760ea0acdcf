"""Which strategies to saturate a library with (from `proberace list --json`), and a table of what came of it."""

import json
import re
import sys
from pathlib import Path


def strategies(listed):
    """Those that promise exact counts: whole ones, every way of stepping under `poke`, every way of arming under
    `xol-vma`. The kernel's own arms no more than 64 sites."""
    for row in listed["strategies"]:
        parts = re.fullmatch(r"(?:(?P<transport>[^:]+):)?(?P<armer>[^+:]+)\+(?P<stepper>.+)", row["name"])
        plain = parts is None or parts["armer"] == "poke" or parts["stepper"] == "xol-vma"
        variants = parts is not None and parts["transport"] and "/" in parts["armer"]
        if row["name"] != "kernel-uprobe" and plain and not variants and "exact-counts" in row["promises"]:
            yield row["name"]


def table(directory):
    yield "| workload | strategy | | sites | armed | hit | hits | seconds |"
    yield "|---|---|---|---:|---:|---:|---:|---:|"
    rows = [row for file in sorted(directory.glob("*.json")) for row in json.loads(file.read_text())["rows"]]
    for row in sorted(rows, key=lambda r: (r["workload"], r["strategy"])):
        data = row["verdict"]["data"]
        name = row["strategy"].replace("|", "\\|")
        yield (f"| {row['workload']} | `{name}` | {'held' if row['held'] else 'BROKEN: ' + row['verdict']['summary']} | "
               + " | ".join(f"{data[k]:,}" if k in data else "" for k in ("sites", "armed", "hit_sites", "hits"))
               + f" | {data['cell_seconds']:.0f} |")


def main(what, *arguments):
    if what == "strategies":
        print("\n".join(strategies(json.load(sys.stdin))))
    else:
        lines = list(table(Path(*arguments)))
        print("\n".join(lines))
        sys.exit(any("BROKEN" in line for line in lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
