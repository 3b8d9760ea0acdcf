"""Draws how soon each way of hunting finds each mutant, from trials.json: a table and a figure."""

import json
import sys
from pathlib import Path

from figures import COLOURS, MARKERS, plt, save

WAYS = ["random", "pct", "exhaustive", "stress"]


def cell(row):
    """Caught of trials, and schedules to the first catch: median (quartiles)."""
    if not row["trials"]:
        return ""
    low, median, high = (("–" if row["tries"][k] is None else f"{row['tries'][k]:,.0f}") for k in ("low", "median", "high"))
    return f"{row['caught']}/{row['trials']}: {median} ({low} to {high})"


def table(mutants):
    lines = ["| mutant | hazards | strategy | " + " | ".join(WAYS) + " |", "|---|---|---|" + "---|" * len(WAYS)]
    for name, ways in mutants.items():
        first = next(iter(ways.values()))
        strategy = first["strategy"].replace("|", "\\|")
        lines.append(f"| {name}{'' if first['observable'] else ' (not observable)'} | {first['hazards']} | `{strategy}` | "
                     + " | ".join(cell(ways[w]) if w in ways else "" for w in WAYS) + " |")
    return lines


def draw(mutants, budget_ms, directory):
    """Seconds to the first catch: median and quartiles; what was not caught within the budget stands at its end."""
    names = sorted(mutants, key=lambda n: mutants[n]["random"]["seconds"]["median"] or float("inf"))
    figure, axis = plt.subplots(figsize=(7.2, 1.2 + 0.2 * len(names)))
    for w, way in enumerate(WAYS):
        for y, name in enumerate(names):
            seconds = mutants[name][way]["seconds"]
            at = y + (w - 1.5) * 0.18
            label = way if y == 0 else None
            if seconds["median"] is None:
                axis.plot(budget_ms / 1e3, at, marker="|", markersize=5, color=COLOURS[w], label=label, linestyle="none")
                continue
            high = seconds["high"] if seconds["high"] is not None else budget_ms / 1e3
            axis.errorbar(seconds["median"], at, xerr=[[seconds["median"] - seconds["low"]], [max(0, high - seconds["median"])]],
                          marker=MARKERS[w], markersize=3, capsize=1.2, linewidth=0.7, color=COLOURS[w], label=label)
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xscale("log")
    axis.set_xlabel("seconds to the first counterexample (median, quartiles; a bar at the budget: not found)")
    axis.grid(axis="both", color="0.92", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(WAYS), frameon=False, fontsize=8)
    save(figure, directory, "mutants")


def by_mutant(trials):
    mutants = {}
    for row in trials["rows"]:
        mutants.setdefault(row["mutant"], {})[row["way"]] = row
    return mutants


def page(trials, mutants):
    lines = ["Caught of trials, then schedules (under stress: scenarios) to the first counterexample: median (quartiles); "
             "– where it was not found within the budget.", "", *table(mutants), "",
             f"pct needs no more schedules than random on {trials['pct_no_more_than_random']} of {trials['compared']} mutants."]
    return "\n".join(lines) + "\n"


def main(directory):
    directory = Path(directory)
    trials = json.loads((directory / "trials.json").read_text())
    mutants = by_mutant(trials)
    (directory / "mutants.md").write_text(page(trials, mutants))
    draw(mutants, trials["campaign"]["budget_ms"], directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
