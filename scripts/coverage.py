"""Draws what strategies can probe from isa-*.json and elf-*.json: a table, a figure of each, and what share of the
binaries' instructions emulation covers for how many mnemonics and lines of code."""

import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path

from figures import COLOURS, plt, save


def isa_table(rows):
    lines = ["| strategy | tried | held | refused | broken | of mnemonics, held in full | in part | refused | broken |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        counts, kinds = row["counts"], Counter(kind(c) for c in row["counts"].get("mnemonics", {}).values())
        lines.append("| " + " | ".join(
            [f"`{row['strategy']}`".replace("|", "\\|")]
            + [f"{counts.get(k, 0):,}" for k in ("tried", "held", "refused", "broken")]
            + [str(kinds[k]) for k in ("held", "part", "refused", "broken")]) + " |")
    return lines


def kind(counts):
    """Of one mnemonic."""
    if counts["broken"]:
        return "broken"
    if not counts["refused"]:
        return "held"
    return "part" if counts["held"] else "refused"


def elf_table(rows):
    lines = ["| strategy | file | instructions | armed | share |", "|---|---|---:|---:|---:|"]
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        name, all_of, all_armed = f"`{strategy}`".replace("|", "\\|"), 0, 0
        for row in (r for r in rows if r["strategy"] == strategy):
            data = row["verdict"]["data"]
            if not data or "armed" not in data:
                lines.append(f"| {name} | {Path(row['file']).name} | {row['verdict']['summary']} | | |")
                continue
            all_of, all_armed = all_of + data["instructions"], all_armed + data["armed"]
            lines.append(share_line(name, Path(row["file"]).name, data["instructions"], data["armed"]))
        if all_of:
            lines.append(share_line(name, "all", all_of, all_armed))
    return lines


def share_line(strategy, file, instructions, armed):
    return f"| {strategy} | {file} | {instructions:,} | {armed:,} | {armed / instructions:.2%} |"


def draw_isa(rows, out):
    """A bar for each strategy: the shares of mnemonics by what became of their cases."""
    figure, axes = plt.subplots(figsize=(7.2, 0.8 + 0.28 * len(rows)))
    names = {"held": "held", "part": "some forms refused", "refused": "refused", "broken": "broken"}
    bars = [f"{row['strategy']} ({row['counts']['tried']:,} cases)" for row in rows]
    left = [0.0] * len(rows)
    for colour, (key, label) in zip((COLOURS[2], COLOURS[8], COLOURS[7], COLOURS[3]), names.items()):
        shares = []
        for row in rows:
            kinds = Counter(kind(c) for c in row["counts"].get("mnemonics", {}).values())
            shares.append(100 * kinds[key] / max(1, sum(kinds.values())))
        axes.barh(bars, shares, left=left, color=colour, label=label)
        left = [a + b for a, b in zip(left, shares)]
    axes.invert_yaxis()
    axes.set_xlabel("mnemonics, %")
    axes.legend(ncols=4, fontsize=7, loc="lower right", bbox_to_anchor=(1, 1))
    save(figure, out, "isa_coverage")


def lines_of(folder):
    """Lines of the emulator, without comments, tests and what only tests use: those that every mnemonic needs, those of
    the file that the first on vectors adds, and the table, in which most mnemonics have a row of their own."""
    sources = [f for f in Path(folder).iterdir() if f.suffix in (".cpp", ".h") and not f.stem.endswith("_test")
               and f.name != "array_context.h"]
    size = {f.name: sum(bool(line.strip()) and not line.strip().startswith("//") for line in f.read_text().splitlines())
            for f in sources}
    table = (Path(folder) / "semantics.cpp").read_text()
    vectors = set(re.findall(r'\{"(\w+)", &run::\w+_vector\b', table))
    rows = set(re.findall(r'^\s*\{"(\w+)",', table, flags=re.MULTILINE))
    if not vectors:
        sys.exit("coverage: semantics.cpp has no rows of vectors; has its table changed?")
    on_vectors = size["vector_runners.cpp"]
    return sum(size.values()) - on_vectors - len(rows), on_vectors, vectors, rows


def price(rows, folder, out):
    """The share of all instructions covered by the n most frequent mnemonics that emulation knows."""
    counts, total = Counter(), 0
    for row in rows:
        data = row["verdict"]["data"]
        if row["strategy"].endswith("+emulate") and data and "mnemonics" in data:
            total += data["instructions"]
            counts.update(data["mnemonics"])
    if not total:
        return
    shared, for_vectors, vectors, rows_of_table = lines_of(folder)
    points, covered, lines, seen_vector = [(0, shared, 0.0, "")], 0, shared, False
    for n, (mnemonic, count) in enumerate(counts.most_common(), 1):
        covered += count
        lines += (mnemonic in rows_of_table) + (for_vectors if mnemonic in vectors and not seen_vector else 0)
        seen_vector = seen_vector or mnemonic in vectors
        points.append((n, lines, covered / total, mnemonic))
    with open(out / "emulation_price.csv", "w", newline="") as file:
        csv.writer(file).writerows([("mnemonics", "lines", "share", "added"), *points])
    figure, axes = plt.subplots(figsize=(4.6, 2.8))
    axes.plot([p[0] for p in points], [100 * p[2] for p in points], color=COLOURS[0])
    for share in (0.5, 0.9, 0.95):
        n, lines, reached, _ = next((p for p in points if p[2] >= share), points[-1])
        axes.annotate(f"{reached:.0%}: {n} mnemonics, {lines} lines", (n, 100 * reached), xytext=(12, -12),
                      textcoords="offset points", fontsize=7, arrowprops={"arrowstyle": "-", "color": "0.6"})
    n, lines, reached, _ = points[-1]
    axes.annotate(f"{reached:.1%}: {n} mnemonics, {lines} lines", (n, 100 * reached), xytext=(-120, -40),
                  textcoords="offset points", fontsize=7, arrowprops={"arrowstyle": "-", "color": "0.6"})
    axes.set_xlabel("mnemonics emulated, the most frequent first")
    axes.set_ylabel("instructions covered, %")
    axes.set_ylim(0, 100)
    axes.grid(color="0.92", linewidth=0.6)
    save(figure, out, "emulation_price")


def rows_of(out, check):
    return [row for file in sorted(out.glob(f"{check}-*.json")) for row in json.loads(file.read_text())["rows"]]


def main(folder, directory):
    out = Path(directory)
    isa, elf = rows_of(out, "isa"), rows_of(out, "elf")
    text = ["# Instruction set", "", *isa_table(isa), "", "# Binaries", "", *elf_table(elf), ""]
    (out / "coverage.md").write_text("\n".join(text))
    draw_isa([row for row in isa if row["counts"].get("mnemonics")], out)
    price(elf, folder, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
