"""Draws a run's figures and its self-contained page. Reads only summary.json and provenance.json."""

import html
import os
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from jinja2 import Template

from run_data import in_order, load, one, select, time

plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
                     "svg.fonttype": "none", "figure.constrained_layout.use": True})
COLOURS = plt.get_cmap("tab10").colors
MARKERS = "osD^vP*Xh<"


def save(figure, directory, name):
    for ending in ("pdf", "svg"):
        part = directory / f".{name}.{ending}.part"
        figure.savefig(part, format=ending, bbox_inches="tight")
        os.replace(part, directory / f"{name}.{ending}")
    plt.close(figure)


def rows_of_dots(strategies, panels):
    """Axes with a row for each strategy, tall enough to read, and a log scale in microseconds."""
    figure, axes = plt.subplots(1, panels, figsize=(7.2, 1.1 + 0.19 * len(strategies)), sharey=True, squeeze=False)
    for panel in axes[0]:
        panel.set_yticks(range(len(strategies)), strategies, fontsize=7)
        panel.set_ylim(len(strategies) - 0.4, -0.6)  # the first on top
        panel.set_xscale("log")
        panel.grid(axis="both", color="0.92", linewidth=0.6)
        panel.set_axisbelow(True)
    return figure, axes[0]


def dot(panel, row, y, colour, marker, label):
    """A median and its interval, in microseconds."""
    value = row["median"] / 1e3
    panel.errorbar(value, y, xerr=[[(row["median"] - row["low"]) / 1e3], [(row["high"] - row["median"]) / 1e3]],
                   marker=marker, markersize=4, capsize=1.5, linewidth=0.8, color=colour, label=label)


def fastest_first(rows, **of):
    """Strategies by the median of one kind of row; those without one last, the peer's row where it falls."""
    medians = {row["strategy"]: row["median"] for row in select(rows, **of)}
    return sorted(in_order(rows, "strategy"), key=lambda strategy: medians.get(strategy, float("inf")))


def once(labels, label):
    """The label the first time it is asked for, so that a legend names each thing once."""
    return None if label in labels else labels.add(label) or label


def draw_hits(measured, directory):
    """What a hit costs: a row for each strategy, a mark for each probed instruction, floors as lines."""
    rows = [row for row in select(measured, suite="hit", metric="hit") if row["median"] > 0]
    strategies, cases, labels = fastest_first(rows, case="mov"), in_order(rows, "case"), set()
    figure, (axes,) = rows_of_dots(strategies, 1)
    for y, strategy in enumerate(strategies):
        for j, case in enumerate(cases):
            row = one(rows, strategy=strategy, case=case)
            if row:
                dot(axes, row, y + 0.12 * (j - (len(cases) - 1) / 2), COLOURS[j], MARKERS[j], once(labels, case))
    for name, style in (("trap", "--"), ("step", ":"), ("syscall", "-.")):
        floor = one(measured, suite="floors", case=name, metric="floor")
        if floor:
            axes.axvline(floor["median"] / 1e3, linestyle=style, color="grey", linewidth=0.9,
                         label=f"floor: {name}, {time(floor['median'])}")
    axes.set_xlabel("one hit, µs (log); the unprobed execution is subtracted")
    figure.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncol=4, fontsize=7, frameon=False)
    save(figure, directory, "hits")


def draw_insertion(measured, directory):
    """What arming and disarming one site costs, by the number of threads that execute it."""
    rows = select(measured, suite="insertion")
    strategies, counts, labels = fastest_first(rows, metric="insert"), in_order(rows, "threads"), set()
    figure, panels = rows_of_dots(strategies, 2)
    for panel, metric in zip(panels, ("insert", "remove")):
        for y, strategy in enumerate(strategies):
            for j, threads in enumerate(counts):
                row = one(rows, strategy=strategy, metric=metric, threads=threads)
                if row:
                    dot(panel, row, y + 0.12 * (j - (len(counts) - 1) / 2), COLOURS[j], MARKERS[j],
                        once(labels, f"{threads} threads execute the site"))
        panel.set_xlabel(f"{metric} one probe, µs (log)")
    figure.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncol=3, fontsize=7, frameon=False)
    save(figure, directory, "insertion")


PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>proberace: {{ machine }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-size: .8rem; margin: 1rem 0; display: block; overflow-x: auto }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; white-space: nowrap }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.kept { background: #e5f4e5 } .broken { background: #f6cccc; font-weight: bold }
.not-promised { color: #777 } .skipped { color: #777; font-style: italic }
figure { margin: 1.5rem 0 } svg { max-width: 100%; height: auto }
</style></head><body>
<h1>proberace</h1>
<p>Recorded {{ provenance.time }} on {{ provenance.cpu.model }}, {{ provenance.cpu.online }} CPUs, Linux
{{ provenance.kernel }}, hypervisor {{ provenance.hypervisor or "none" }}, commit {{ provenance.commit }}. Compare the
ratios, not the absolute figures: machines are noisy, and a virtual machine charges traps differently.</p>
<h2>What a hit costs</h2><figure>{{ figures.hits }}</figure>
<h2>What insertion and removal cost</h2><figure>{{ figures.insertion }}</figure>
<h2>Promises</h2>
<p>Kept: promised and observed. Broken: promised, and not so. Grey: not promised, with what was observed. Point at a cell
for the reason.</p>
<table><tr><th>promise</th>{% for s in strategies %}<th>{{ s }}</th>{% endfor %}</tr>
{% for case in cases %}<tr><td>{{ case }}</td>{% for s in strategies %}{% set r = cell[(case, s)] %}
{% if r %}<td class="{{ r.verdict }}" title="{{ r.reason | e }}">{% if r.verdict == "kept" %}kept{% elif r.verdict ==
"broken" %}broken: {{ r.observed }}{% elif r.verdict == "skipped" %}skipped{% else %}&minus; ({{ r.observed }}){% endif
%}</td>{% else %}<td></td>{% endif %}{% endfor %}</tr>{% endfor %}</table>
{% for t in targets %}<p><b>{{ t.case }}</b> under {{ t.strategy }}: {{ t.observed }}. {{ t.reason | e }}</p>{% endfor %}
<h2>All figures</h2>
<table><tr><th>suite</th><th>case</th><th>strategy</th><th>threads</th><th>metric</th><th>median</th><th>95&nbsp;%</th>
<th>n</th><th>/ trap floor</th><th>/ kernel-uprobe</th></tr>
{% for r in measured %}<tr><td>{{ r.suite }}</td><td>{{ r.case }}</td><td>{{ r.strategy }}</td>
<td class="number">{{ r.threads }}</td><td>{{ r.metric }}</td><td class="number">{{ show(r, r.median) }}</td>
<td class="number">{{ show(r, r.low) }} to {{ show(r, r.high) }}</td><td class="number">{{ r.n }}</td>
<td class="number">{{ ratio(r.trap_ratio) }}</td><td class="number">{{ ratio(r.uprobe_ratio) }}</td></tr>{% endfor %}
</table>
<h2>Provenance</h2><pre>{{ provenance_text }}</pre>
</body></html>
""")


def inline(path):
    """The SVG element alone, to stand inside a page."""
    text = path.read_text()
    return text[text.index("<svg"):]


def write_page(run, measured, verdicts, provenance):
    import json

    promises = select(verdicts, suite="promises")
    strategies, cases = in_order(promises, "strategy"), list(dict.fromkeys(row["case"] for row in promises))
    page = PAGE.render(
        machine=provenance["machine"], provenance=provenance, measured=measured, strategies=strategies, cases=cases,
        cell={(case, s): one(promises, case=case, strategy=s) for case in cases for s in strategies},
        targets=select(verdicts, suite="target"),
        figures={name: inline(run / "figures" / f"{name}.svg") for name in ("hits", "insertion")},
        show=lambda row, value: time(value) if row["unit"] == "ns" else f"{value:.3g} {row['unit']}",
        ratio=lambda value: "" if value is None else f"{value:.3g}",
        provenance_text=html.escape(json.dumps(provenance, indent=2)))
    part = run / ".report.html.part"
    part.write_text(page)
    os.replace(part, run / "report.html")


def main(directory):
    run = Path(directory)
    measured, verdicts, provenance = load(run)
    (run / "figures").mkdir(exist_ok=True)
    draw_hits(measured, run / "figures")
    draw_insertion(measured, run / "figures")
    write_page(run, measured, verdicts, provenance)


if __name__ == "__main__":
    main(sys.argv[1])
