"""How far a long hunt has come, and a table of what strategies have survived."""

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path


DECLINED = ("refused", "skipped") # a strategy that cannot take these bodies, a machine that lacks something


def smallest(listed, strategy):
    """A scenario: two threads, one site, one execution each. Empty if the strategy has no schedule points."""
    row = next(row for row in listed["strategies"] if row["name"] == strategy)
    if not row["facts"]["schedulable"]:
        return ""
    body = "push" if "stack-operands" in row["promises"] else "mov"
    return f"strategy {strategy}\nbodies A={body}\narmed A\nthread 0: run A\nthread 1: run A\n"


def rate(directory, strategy):
    """How the smallest scenario ended, and its schedules a second as text."""
    file = directory / (re.sub("[^a-z0-9-]", "_", strategy) + ".rate.json")
    verdict = json.loads(file.read_text()) if file.exists() else {"ending": "held"}
    data = verdict.get("data", {})
    found = verdict.get("counterexample")
    ending = verdict.get("ending") or (found["verdict"]["ending"] if found else "held")
    return ending, f"{data['executions'] / 2 / data['seconds']:,.0f}" if data.get("seconds") else ""


def progress(report, cases, wanted):
    """Whether a hunt is done, and how many cases to ask for so that there will be as many schedules as wanted."""
    done = report["schedules"]
    if report["broken"] or (done >= wanted and not report["left"]):
        return "done", cases
    if report["left"]: # the budget has ended
        return "left", cases
    return "more", cases + max(10, round((wanted - done) / max(done / cases, 1) * 1.02))


def table(directory):
    rows = defaultdict(dict)
    for file in sorted(f for f in directory.glob("*.json") if not f.name.endswith(".rate.json")):
        data = json.loads(file.read_text())
        kind = data["campaign"]["scheduler"] if "campaign" in data else "stress"
        rows[data.get("strategy") or data["campaign"]["strategy"]][kind] = data
    yield "| strategy | | scenarios | schedules, random | pct | hits | stress: runs | executions | hits | schedules/s |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for strategy, kinds in sorted(rows.items()):
        hunts = [kinds[k] for k in ("random", "pct") if k in kinds]
        runs = kinds.get("stress", {}).get("rows", [])
        outcomes = defaultdict(int)
        for run in runs:
            for outcome, count in run["outcomes"].items():
                outcomes[outcome] += count
        broken = Counter(b["property"] for hunt in hunts for b in hunt["broken"])
        wrong = [f"{property} in {count} scenarios" for property, count in broken.items()]
        declined = sum(count for outcome, count in outcomes.items() if outcome in DECLINED)
        wrong += [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome != "held" and outcome not in DECLINED]
        ending, a_second = rate(directory, strategy)
        wrong += [f"{ending} in the smallest scenario"] if ending != "held" else []
        total = lambda name, of: f"{sum(row[name] for row in of):,}" if of else ""
        name = strategy.replace("|", "\\|")
        said = "BROKEN: " + ", ".join(wrong) if wrong else "held"
        said += f" ({declined} runs under stress declined)" if declined else ""
        yield (f"| `{name}` | {said} | {total('cases', hunts)} | "
               + " | ".join(total("schedules", [kinds[k]] if k in kinds else []) for k in ("random", "pct"))
               + f" | {total('hits', hunts)} | {sum(outcomes.values()) or ''} | {total('executions', runs)} | "
               f"{total('hits', runs)} | {a_second} |")


def main(what, *arguments):
    if what == "smallest":
        print(smallest(json.load(sys.stdin), *arguments))
    elif what == "progress":
        file, cases, wanted = arguments
        print(*progress(json.loads(Path(file).read_text()), int(cases), int(wanted)))
    else:
        lines = list(table(Path(*arguments)))
        print("\n".join(lines))
        sys.exit(any("BROKEN" in line for line in lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
