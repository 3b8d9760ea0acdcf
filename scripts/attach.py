"""How long tracers hold a running program when they attach and leave, and how often its probes are hit meanwhile.

Each trial starts stress/programs/ticks.c, attaches one tool, lets it run, and ends it with SIGINT as a user would.
The program itself notes how long its 5 ms timer stood still."""

import argparse
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from attach_tools import ROOT, TOOLS, CannotRun

SOURCE = ROOT / "stress" / "programs" / "ticks.c"
UNPROBED = 1.5  # seconds before a tool is started
SETTLING = 2.0  # seconds that a tool has to set its probes, at least
PROBED = 1.5  # seconds in which hits are counted
PATIENCE = 300  # seconds for a tool to set its probes, or to leave

COLUMNS = {  # a figure of a trial, and its heading
    "attach_gap_ms": "gap at attach, ms",
    "hits_per_second": "hits/s",
    "leave_gap_ms": "gap at leaving, ms",
    "leave_ms": "time to leave, ms",
}


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def ticks_of(text):
    """Lines of the program: the time, its calls so far, the longest time between two ticks since the last line."""
    rows = [line.split() for line in text.splitlines()]
    return [(float(row[0]), int(row[1]), float(row[2])) for row in rows if len(row) == 3]


def longest_between(ticks, begin, end):
    return max([pause for t, _, pause in ticks if begin <= t <= end + 0.2], default=0.0)


def rate_between(ticks, begin, end):
    inside = [(t, calls) for t, calls, _ in ticks if begin <= t <= end]
    if len(inside) < 2:
        return 0.0
    return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def wait_until_ready(tool, tracer, printed):
    time.sleep(SETTLING)
    deadline = now() + PATIENCE
    while tracer.poll() is None and not tool.ready(printed.read_text()) and now() < deadline:
        time.sleep(0.1)
    if tracer.poll() is not None:
        raise CannotRun(f"{tool.name} ended by itself: {' '.join(printed.read_text().split())[-200:]}")
    if not tool.ready(printed.read_text()):
        raise CannotRun(f"{tool.name} set no probes within {PATIENCE} s")
    time.sleep(0.5)  # some say so shortly before it is true


def trial(tool, program, folder, threads, probes, library):
    """One program, one tool: its figures."""
    tool.prepare(program, probes)
    tracer = target = None
    ticks, printed = folder / "ticks.out", folder / "tool.out"
    try:
        with open(ticks, "w") as out:
            target = subprocess.Popen([program, "1000", str(threads)] + ([library] if library else []), stdout=out)
        time.sleep(UNPROBED + (0.5 if library else 0.0))
        attach = now()
        with open(printed, "w") as out:
            tracer = subprocess.Popen(tool.command(program, target.pid, probes, folder), stdout=out, stderr=out,
                                      stdin=subprocess.DEVNULL, start_new_session=True)
        wait_until_ready(tool, tracer, printed)
        begin = now()
        time.sleep(PROBED)
        leave = now()
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise CannotRun(f"{tool.name} did not leave within {PATIENCE} s") from None
        left = now()
        time.sleep(0.4)
        alive = target.poll() is None
    finally:
        for child in (tracer, target):
            if child is not None and child.poll() is None:
                child.kill()
                child.wait()
        tool.clean(program)
    rows = ticks_of(ticks.read_text())
    unprobed = longest_between(rows, attach - UNPROBED + 0.3, attach - 0.2)
    longer = lambda begin, end: 1e3 * max(0.0, longest_between(rows, begin, end) - unprobed)
    return {"attach_gap_ms": longer(attach, begin), "hits_per_second": rate_between(rows, begin, leave) * probes / 1000,
            "leave_gap_ms": longer(leave, left), "leave_ms": 1e3 * (left - leave), "alive": alive}


def table(record):
    """The medians, as Markdown."""
    lines = ["| tool | threads | probes | " + " | ".join(COLUMNS.values()) + " | alive |",
             "|---|" + "---:|" * (len(COLUMNS) + 3)]
    for row in sorted(record["rows"], key=lambda row: (row["probes"], row["threads"])):
        head = f"| {row['tool']} | {row['threads']} | {row['probes']:,} | "
        trials = row["trials"]
        if "skipped" in row:
            lines.append(head + f"skipped: {row['skipped'].replace('|', '/')} |" + " |" * len(COLUMNS))
        if not trials:
            continue
        figures = []
        for column in COLUMNS:
            value = statistics.median(t[column] for t in trials)
            figures.append(f"{value:,.1f}" if column != "hits_per_second" else f"{value:,.0f}")
        lines.append(head + " | ".join(figures) + f" | {sum(t['alive'] for t in trials)} of {len(trials)} |")
    return "\n".join(lines) + "\n"


def write(path, text):
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.rename(path)


class Record:
    """The trials that were made, in a folder if one is given. An earlier record there is continued."""

    def __init__(self, folder, library, tools):
        self.folder = folder and pathlib.Path(folder)
        self.file = folder and self.folder / "attach.json"
        versions = {tool.name: tool.version() for tool in tools}
        self.value = {"schema": "proberace/attach/1", "library": library, "kernel": os.uname().release,
                      "machine": subprocess.run([TOOLS[0].program, "--machine"], capture_output=True, text=True,
                                                check=True).stdout.strip(), "versions": {}, "rows": []}
        if self.file and self.file.exists():
            earlier = json.loads(self.file.read_text())
            for field in ("schema", "library", "kernel", "machine"):
                if earlier.get(field) != self.value[field]:
                    sys.exit(f"attach: {self.file} has {field} '{earlier.get(field)}', not '{self.value[field]}'; "
                             "choose another folder with --out")
            self.value = earlier
        self.value["versions"] |= versions

    def row(self, tool, threads, probes):
        for row in self.value["rows"]:
            if (row["tool"], row["threads"], row["probes"]) == (tool.name, threads, probes):
                return row
        self.value["rows"].append({"tool": tool.name, "threads": threads, "probes": probes, "trials": []})
        return self.value["rows"][-1]

    def save(self):
        if self.file:
            write(self.file, json.dumps(self.value, indent=1) + "\n")
            write(self.folder / "attach.md", table(self.value))


def measure(record, cells, repetitions, library):
    for cell in cells:
        record.row(*cell).pop("skipped", None)  # it may be installed by now
    missing = [c for c in cells for _ in range(repetitions - len(record.row(*c)["trials"]))]
    random.shuffle(missing)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        program = folder / "ticks"
        subprocess.run(["gcc", "-O1", "-pthread", SOURCE, "-o", program, "-ldl"], check=True)
        for done, (tool, threads, probes) in enumerate(missing):
            row = record.row(tool, threads, probes)
            if "skipped" in row:
                continue
            try:
                row["trials"].append(trial(tool, program, folder, threads, probes, library))
            except CannotRun as reason:
                row["skipped"] = str(reason)
            print(f"{done + 1} of {len(missing)}: {tool.name}, {threads} threads, {probes} probes: "
                  f"{row.get('skipped') or json.dumps(row['trials'][-1])}", file=sys.stderr, flush=True)
            record.save()


def main():
    parser = argparse.ArgumentParser(description="Compares how tracers attach to a running program and leave it.")
    parser.add_argument("--threads", type=int, action="append", help="threads of the program (4 and 300)")
    parser.add_argument("--probes", type=int, action="append", choices=(1, 10, 100, 1000), help="probes (1 and 1000)")
    parser.add_argument("--tool", action="append", help="part of a tool's name (all of them)")
    parser.add_argument("--repetitions", type=int, default=5, help="trials of each; the order is random (%(default)s)")
    parser.add_argument("--library", default="", help="a library that the program loads")
    parser.add_argument("--out", help="leave attach.json and attach.md in this folder")
    o = parser.parse_args()
    tools = [t for t in TOOLS if not o.tool or any(word in t.name for word in o.tool)]
    if not tools:
        sys.exit(f"attach: no tool's name contains {o.tool}; there are: {', '.join(t.name for t in TOOLS)}")
    if o.library and not os.path.exists(o.library):
        sys.exit(f"attach: {o.library}: there is no such file")
    if o.out:
        os.makedirs(o.out, exist_ok=True)
    record = Record(o.out, o.library, tools)
    cells = [(tool, threads, probes) for tool in tools for threads in o.threads or (4, 300)
             for probes in o.probes or (1, 1000)]
    try:
        measure(record, cells, o.repetitions, o.library)
    except KeyboardInterrupt:
        print("attach: interrupted; what was measured is kept", file=sys.stderr)
    record.save()
    print(table(record.value), end="")


if __name__ == "__main__":
    main()
