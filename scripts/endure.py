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


# A column of the table: its heading and the kinds of runs that it sums a number over.
COLUMNS = (
    ("scenarios", ("random", "pct"), "cases"),
    ("schedules, random", ("random",), "schedules"),
    ("pct", ("pct",), "schedules"),
    ("hits", ("random", "pct"), "hits"),
    ("free: scenarios", ("free",), "cases"),
    ("executions", ("free",), "executions"),
    ("of those must count", ("free",), "must"),
    ("insertions", ("free",), "inserted"),
    ("hits", ("free",), "hits"),
)
STRESS = ("stress: runs", "executions", "hits")


def read_runs(directory):
    """By strategy and kind ("random", "pct", "free", "stress")."""
    runs = defaultdict(dict)
    for file in sorted(f for f in directory.glob("*.json") if not f.name.endswith(".rate.json")):
        data = json.loads(file.read_text())
        kind = data["campaign"].get("scheduler", "free") if "campaign" in data else "stress"
        runs[data.get("strategy") or data["campaign"]["strategy"]][kind] = data
    return runs


def total(name, rows):
    return f"{sum(row[name] for row in rows):,}" if rows else ""


def stress_cells(kinds):
    rows = kinds.get("stress", {}).get("rows", [])
    outcomes = Counter()
    for row in rows:
        outcomes.update(row["outcomes"])
    declined = sum(count for outcome, count in outcomes.items() if outcome in DECLINED)
    wrong = [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome not in ("held", *DECLINED)]
    return wrong, declined, [str(sum(outcomes.values()) or ""), total("executions", rows), total("hits", rows)]


def table(directory):
    runs = read_runs(directory)
    kinds_there = {kind for kinds in runs.values() for kind in kinds}
    columns = [column for column in COLUMNS if kinds_there.intersection(column[1])]
    stress = STRESS if "stress" in kinds_there else ()
    yield "| strategy | | " + " | ".join([heading for heading, _, _ in columns] + list(stress)) + " | schedules/s |"
    yield "|---|---|" + "---:|" * (len(columns) + len(stress) + 1)
    for strategy, kinds in sorted(runs.items()):
        broken = Counter(b["property"] for kind in kinds if kind != "stress" for b in kinds[kind]["broken"])
        wrong = [f"{property} in {count} scenarios" for property, count in broken.items()]
        wrong_runs, declined, stress_row = stress_cells(kinds)
        ending, a_second = rate(directory, strategy)
        wrong += wrong_runs + ([f"{ending} in the smallest scenario"] if ending != "held" else [])
        cells = [total(number, [kinds[k] for k in of if k in kinds]) for _, of, number in columns]
        name = strategy.replace("|", "\\|")
        said = "BROKEN: " + ", ".join(wrong) if wrong else "held"
        said += f" ({declined} runs under stress declined)" if declined else ""
        yield f"| `{name}` | {said} | " + " | ".join(cells + (stress_row if stress else []) + [a_second]) + " |"


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
