"""How long tracers hold a running program when they attach and leave, and how often its probes are hit meanwhile.

Each trial starts stress/programs/ticks.c, attaches one tool, lets it run, and ends it with SIGINT as a user would.
The program itself notes how long its 5 ms timer stood still."""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "stress" / "programs" / "ticks.c"
PROBED = 3.0  # seconds between attaching and leaving, and before the first
PATIENCE = 120  # seconds for a tool to attach or leave


class CannotRun(Exception):
    pass


def functions(probes):
    return [f"f{i:03d}" for i in range(probes)]


class Proberace:
    def __init__(self, strategy):
        self.name = f"proberace {strategy}"
        self.strategy = strategy

    def prepare(self, program, probes):
        pass

    def command(self, program, process, probes, folder):
        words = [ROOT / "build" / "release" / "proberace", "run", "--strategy", self.strategy, "--pid", str(process)]
        for f in functions(probes):
            words += ["--probe", f"{program.name}:{f}"]
        return words

    def clean(self, program):
        pass


class Gdb:
    name = "gdb"

    def prepare(self, program, probes):
        if not shutil.which("gdb"):
            raise CannotRun("gdb is not installed")

    # A breakpoint that is passed over: gdb counts its hits.
    def command(self, program, process, probes, folder):
        lines = ["set pagination off", "set confirm off", f"attach {process}"]
        for number, f in enumerate(functions(probes), 1):
            lines += [f"break *{f}", f"ignore {number} 2000000000"]
        script = folder / "gdb.script"
        script.write_text("\n".join(lines + ["continue", "detach", "quit"]) + "\n")
        return ["gdb", "-q", "-nx", "-batch", "-x", script, program]

    def clean(self, program):
        pass


class Perf:
    name = "perf stat (uprobes)"

    def prepare(self, program, probes):
        if not shutil.which("perf"):
            raise CannotRun("perf is not installed")
        done = subprocess.run(["perf", "probe", "-q", "-x", program] + [w for f in functions(probes) for w in ("-a", f"p{f}={f}")],
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.clean(program)
            raise CannotRun(f"perf probe: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")

    def command(self, program, process, probes, folder):
        return ["perf", "stat", "-e", f"probe_{program.name}:*", "-p", str(process)]

    def clean(self, program):
        subprocess.run(["perf", "probe", "-q", "-d", f"probe_{program.name}:*"], capture_output=True)


class Bpftrace:
    name = "bpftrace"

    def prepare(self, program, probes):
        if not shutil.which("bpftrace"):
            raise CannotRun("bpftrace is not installed")

    def command(self, program, process, probes, folder):
        wanted = ",".join(f"uprobe:{program}:{f}" for f in functions(probes)) if probes < 1000 else f"uprobe:{program}:f*"
        return ["bpftrace", "-p", str(process), "-e", wanted + " { @[probe] = count(); }"]

    def clean(self, program):
        pass


TOOLS = [Proberace("ptrace:poke+xol-boost"), Proberace("ptrace:stop-world+xol-vma"), Proberace("kernel-uprobe"), Gdb(), Perf(),
         Bpftrace()]


def lines_of(text):
    rows = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3:
            rows.append((float(words[0]), int(words[1]), float(words[2])))
    return rows


def longest_between(rows, begin, end):
    return max([pause for t, _, pause in rows if begin <= t <= end + 0.2], default=0.0)


def rate_between(rows, begin, end):
    inside = [(t, calls) for t, calls, _ in rows if begin <= t <= end]
    if len(inside) < 2:
        return 0.0
    return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def trial(tool, program, folder, threads, probes, library):
    """One program, one tool. Returns its figures, or raises CannotRun."""
    tool.prepare(program, probes)
    tracer = target = None
    output = folder / "ticks.out"
    try:
        with open(output, "w") as out:
            arguments = [program, "1000", str(threads)] + ([library] if library else [])
            target = subprocess.Popen(arguments, stdout=out)
        time.sleep(PROBED)
        attach = time.clock_gettime(time.CLOCK_MONOTONIC)
        with open(folder / "tool.out", "w") as out:
            tracer = subprocess.Popen(tool.command(program, target.pid, probes, folder), stdout=out, stderr=out,
                                      stdin=subprocess.DEVNULL, start_new_session=True)
        time.sleep(2.0)
        deadline = time.monotonic() + PATIENCE
        while tool.name == "gdb" and "Continuing." not in (folder / "tool.out").read_text() and time.monotonic() < deadline:
            if tracer.poll() is not None:
                break
            time.sleep(0.1)
        begin = time.clock_gettime(time.CLOCK_MONOTONIC)
        time.sleep(PROBED)
        leave = time.clock_gettime(time.CLOCK_MONOTONIC)
        if tracer.poll() is not None:
            raise CannotRun(f"{tool.name} ended by itself: {(folder / 'tool.out').read_text().strip()[-300:]}")
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise CannotRun(f"{tool.name} did not leave within {PATIENCE} s")
        left = time.clock_gettime(time.CLOCK_MONOTONIC)
        time.sleep(0.5)
        alive = target.poll() is None
        target.kill()
        target.wait()
    finally:
        for child in (tracer, target):
            if child is not None and child.poll() is None:
                child.kill()
                child.wait()
        tool.clean(program)
    rows = lines_of(output.read_text())
    unprobed = longest_between(rows, attach - PROBED + 0.3, attach - 0.2)
    return {"attach_gap_ms": 1e3 * max(0.0, longest_between(rows, attach, begin) - unprobed),
            "leave_gap_ms": 1e3 * max(0.0, longest_between(rows, leave, left) - unprobed),
            "leave_ms": 1e3 * (left - leave), "hits_per_second": rate_between(rows, begin, leave) * probes / 1000,
            "alive": alive}


def main():
    parser = argparse.ArgumentParser(description="Compares how tracers attach to a running program and leave it.")
    parser.add_argument("--threads", type=int, action="append", help="threads of the program (4 and 300)")
    parser.add_argument("--probes", type=int, action="append", choices=(1, 10, 100, 1000), help="probes (1 and 1000)")
    parser.add_argument("--tool", action="append", help="part of a tool's name (all of them)")
    parser.add_argument("--repetitions", type=int, default=5, help="trials of each; the order is random (%(default)s)")
    parser.add_argument("--library", default="", help="a library that the program loads")
    parser.add_argument("--out", help="also leave attach.json in this folder")
    o = parser.parse_args()
    tools = [t for t in TOOLS if not o.tool or any(word in t.name for word in o.tool)]
    if not tools:
        sys.exit(f"attach: no tool's name contains {o.tool}; there are: {', '.join(t.name for t in TOOLS)}")
    if o.library and not os.path.exists(o.library):
        sys.exit(f"attach: {o.library}: there is no such file")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        program = folder / "ticks"
        subprocess.run(["gcc", "-O1", "-pthread", SOURCE, "-o", program, "-ldl"], check=True)
        cells = [(tool, threads, probes) for tool in tools for threads in o.threads or (4, 300)
                 for probes in o.probes or (1, 1000)]
        found, skipped = {c: [] for c in cells}, {}
        trials = [c for c in cells for _ in range(o.repetitions)]
        random.shuffle(trials)
        for cell in trials:
            if cell in skipped:
                continue
            tool, threads, probes = cell
            try:
                found[cell].append(trial(tool, program, folder, threads, probes, o.library))
            except CannotRun as reason:
                skipped[cell] = str(reason)
            print(f"{tool.name}, {threads} threads, {probes} probes: "
                  f"{skipped.get(cell) or json.dumps(found[cell][-1])}", file=sys.stderr, flush=True)
    rows = []
    print(f"{'tool':34} {'threads':>7} {'probes':>6} {'gap ms':>9} {'leave ms':>9} {'leave gap':>9} {'hits/s':>10}  alive")
    for tool, threads, probes in cells:
        cell = (tool, threads, probes)
        row = {"tool": tool.name, "threads": threads, "probes": probes, "trials": found[cell]}
        if cell in skipped:
            row["skipped"] = skipped[cell]
            print(f"{tool.name:34} {threads:7} {probes:6}  skipped: {skipped[cell]}")
        else:
            median = {k: statistics.median(t[k] for t in found[cell]) for k in found[cell][0] if k != "alive"}
            lives = sum(t["alive"] for t in found[cell])
            print(f"{tool.name:34} {threads:7} {probes:6} {median['attach_gap_ms']:9.1f} {median['leave_ms']:9.1f} "
                  f"{median['leave_gap_ms']:9.1f} {median['hits_per_second']:10.0f}  {lives} of {len(found[cell])}")
        rows.append(row)
    if o.out:
        os.makedirs(o.out, exist_ok=True)
        record = {"schema": "proberace/attach/1", "library": o.library, "kernel": os.uname().release, "rows": rows}
        partial = pathlib.Path(o.out) / "attach.json.partial"
        partial.write_text(json.dumps(record, indent=1) + "\n")
        partial.rename(pathlib.Path(o.out) / "attach.json")


main()
