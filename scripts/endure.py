"""How far a long hunt has come, and a table of what strategies have survived."""

import json
import sys
from collections import defaultdict
from pathlib import Path


def progress(report, cases, wanted):
    """Schedules run, and how many cases to ask for so that there will be as many as wanted."""
    if report["broken"] or report["left"]:
        return None
    done = report["schedules"]
    return done, cases + max(10, round((wanted - done) / max(done / cases, 1) * 1.02)) if done < wanted else cases


def table(directory):
    rows = defaultdict(dict)
    for file in sorted(directory.glob("*.json")):
        data = json.loads(file.read_text())
        kind = data["campaign"]["scheduler"] if "campaign" in data else "stress"
        rows[data.get("strategy") or data["campaign"]["strategy"]][kind] = data
    yield "| strategy | | programs | schedules, random | pct | hits | stress: runs | executions | hits |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for strategy, kinds in sorted(rows.items()):
        hunts = [kinds[k] for k in ("random", "pct") if k in kinds]
        runs = kinds.get("stress", {}).get("rows", [])
        outcomes = defaultdict(int)
        for run in runs:
            for outcome, count in run["outcomes"].items():
                outcomes[outcome] += count
        wrong = [f"{b['property']} (seed {b['seed']})" for hunt in hunts for b in hunt["broken"]]
        wrong += [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome != "held"]
        total = lambda name, of: f"{sum(row[name] for row in of):,}" if of else ""
        name = strategy.replace("|", "\\|")
        yield (f"| `{name}` | {'BROKEN: ' + ', '.join(wrong) if wrong else 'held'} | {total('cases', hunts)} | "
               + " | ".join(total("schedules", [kinds[k]] if k in kinds else []) for k in ("random", "pct"))
               + f" | {total('hits', hunts)} | {sum(outcomes.values()) or ''} | {total('executions', runs)} | "
               f"{total('hits', runs)} |")


if sys.argv[1] == "schedules":
    so_far = progress(json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3]), int(sys.argv[4]))
    if so_far is None:
        sys.exit(1)
    print(*so_far)
else:
    lines = list(table(Path(sys.argv[2])))
    print("\n".join(lines))
    sys.exit(any("BROKEN" in line for line in lines))
