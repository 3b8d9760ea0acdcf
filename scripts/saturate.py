"""A table of what came of saturating libraries with probes."""

import json
import sys
from pathlib import Path


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


def main(directory):
    lines = list(table(Path(directory)))
    print("\n".join(lines))
    sys.exit(any("BROKEN" in line for line in lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
