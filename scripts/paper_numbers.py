"""Writes numbers.tex: every number and table of the paper, as LaTeX macros, from a run's files."""

import os
import sys
from pathlib import Path

from run_data import PEER, in_order, load, one, select

ESCAPES = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "µ": r"$\mu$", "$": r"\$"}
CLAIMS = {  # of the mail, with the promise rows that judge them
    "C1": ("overwriting the first byte with int3 in place is unsafe", "poke+xol-vma", "insertion-while-running"),
    "C2": ("swapping the page-table entry is safe at full speed", "pte-swap+xol-vma", "insertion-while-running"),
    "C3": ("stopping all threads is safe", "stop-world+xol-vma", "insertion-while-running"),
    "C4": ("replace, single-step, write back is racy with threads", "poke+in-place", "exact-counts"),
    "C5": ("stepping out of line in an injected vma solves that", "pte-swap+xol-vma", "exact-counts"),
    "C6": ("out of line does not work for RIP-relative instructions", "pte-swap+xol-vma", "rip-relative"),
    "C7": ("inserting a vma is intrusive", "pte-swap+xol-vma", "no-added-mapping"),
    "C8": ("one slot in a thread's TLS is enough", "poke+tls-slot", "reentrant"),
    "C9": ("TLS must become executable while probed", "poke+tls-slot", "no-writable-executable"),
    "C11": ("today's uprobes keep all of it transparent", PEER, "red-zone-intact"),
}


def tex(text):
    return "".join(ESCAPES.get(letter, letter) for letter in str(text))


def quantity(row, value=None):
    value = row["median"] if value is None else value
    for unit, scale in (("ms", 1e6), (r"$\mu$s", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}\\,{unit}"
    return f"{value:.3g}\\,ns"


def ratio(value):
    return "--" if value is None else f"{value:.3g}"


def macro(name, content):
    return f"\\newcommand{{\\{name}}}{{{content}}}\n"


def table(columns, header, rows):
    lines = [" & ".join(row) + r" \\" for row in rows]
    return (f"\\begin{{tabular}}{{{columns}}}\\hline\n" + " & ".join(header) + "\\\\\\hline\n" + "\n".join(lines) +
            "\\hline\n\\end{tabular}")


def promise_matrix(verdicts):
    rows = select(verdicts, suite="promises")
    strategies, cases = in_order(rows, "strategy"), list(dict.fromkeys(row["case"] for row in rows))

    def cell(row):
        if row is None:
            return ""
        return {"kept": "kept", "broken": r"\textbf{broken}", "skipped": r"\emph{skipped}"}.get(
            row["verdict"], f"({tex(row['observed'])})")

    header = [""] + [f"\\rotatebox{{70}}{{{tex(s)}}}" for s in strategies]
    return table("l" + "c" * len(strategies), header,
                 [[tex(case)] + [cell(one(rows, case=case, strategy=s)) for s in strategies] for case in cases])


def claims(verdicts):
    rows = []
    for name, (claim, strategy, case) in CLAIMS.items():
        row = one(verdicts, suite="promises", strategy=strategy, case=case)
        if row:
            rows.append([name, tex(claim), f"{tex(strategy)}, {tex(case)}", f"{row['verdict']}, {row['observed']}"])
    return table("llll", ["", "claim", "tried by", "observed here"], rows)


def insertion(measured, threads):
    rows = []
    for strategy in in_order(select(measured, suite="insertion"), "strategy"):
        found = {m: one(measured, suite="insertion", strategy=strategy, threads=threads, metric=m)
                 for m in ("insert", "remove")}
        if all(found.values()):
            rows.append([tex(strategy)] + [text for row in found.values()
                                           for text in (quantity(row), ratio(row["uprobe_ratio"]))])
    return table("lrrrr", ["strategy", "insert", "/ uprobe", "remove", "/ uprobe"], rows)


def hits(measured, case):
    rows = [[tex(row["strategy"]), quantity(row), f"{quantity(row, row['low'])} to {quantity(row, row['high'])}",
             ratio(row["trap_ratio"]), ratio(row["uprobe_ratio"])]
            for row in select(measured, suite="hit", metric="hit", case=case)]
    return table("lrrrr", ["strategy", "one hit", r"95\,\%", "/ trap floor", "/ uprobe"], rows)


def main(directory, output):
    measured, verdicts, provenance = load(directory)
    text = macro("runtime", tex(provenance["time"]))
    text += macro("cpu", tex(provenance["cpu"]["model"])) + macro("cpus", provenance["cpu"]["online"])
    text += macro("kernel", tex(provenance["kernel"])) + macro("commit", tex(provenance["commit"]))
    text += macro("hypervisor", tex(provenance["hypervisor"] or "none"))
    for name in ("trap", "step", "syscall", "call"):
        row = one(measured, suite="floors", case=name, metric="floor")
        text += macro(f"floor{name}", quantity(row) if row else "not measured")
    target = one(verdicts, suite="target", case="zlib")
    text += macro("zlibresult", tex(target["reason"] or target["observed"]) if target else "not run")
    text += macro("claimtable", claims(verdicts)) + macro("promisematrix", promise_matrix(verdicts))
    text += macro("insertiontable", insertion(measured, 2)) + macro("hittable", hits(measured, "mov"))
    part = Path(output + ".part")
    part.write_text(text)
    os.replace(part, output)


if __name__ == "__main__":
    main(*sys.argv[1:])
