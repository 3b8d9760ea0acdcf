"""Real programs under `proberace run`: do they do what they do unprobed, and are they counted alike?

A case is a file of stress/programs/debian: lines "KEY: VALUE" behind a comment that says what it is.
  packages  Debian's packages that hold the program
  prepare   a shell command that makes its input, in an empty folder
  probe     the object whose functions are probed
  run       a shell command; $run before the program stands for `proberace run ... --`, or for nothing
  check     a shell command whose output is compared, too
The environment variable `size` says how much work there is to do: 1, or 10 where probes come and go meanwhile.
  counts    same: every run executes each function as often; vary: it does not
  ready, load, stop   of a server: succeeds when it serves; the load, whose output is compared; ends it"""

import argparse
import collections
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CASES = ROOT / "stress" / "programs" / "debian"
PATIENCE = 300  # seconds for one run
KEPT = 0.15  # seconds that the probes are armed each time, where they are armed and removed again and again
PAUSE = 0.02  # seconds between two such times
SIZES = {"kept": 1, "toggled": 10}  # armed from beginning to end; armed and removed while it runs


def read_case(path):
    case = {"name": path.stem, "packages": "", "prepare": "true", "check": "true", "counts": "vary"}
    for line in path.read_text().splitlines():
        key, found, value = line.partition(": ")
        if found and not line.startswith("#"):
            case[key] = value
    return case


def end_group(process):
    """Of a process that was started as the leader of its group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def shell(command, folder, size, seconds=PATIENCE):
    """Status and output; the status is None if it took too long. Ends what is left of the command's process group."""
    process = subprocess.Popen(["bash", "-c", command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True, env={**os.environ, "size": str(size)})
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return None, f"took more than {seconds} s"
    finally:
        end_group(process)


class Trial:
    """One run of a case in a folder of its own: bare, or probed in one way."""

    def __init__(self, program, case, folder, mode):
        self.program, self.case, self.folder, self.mode = program, case, pathlib.Path(folder), mode
        status, output = self.shell(case["prepare"])
        if status != 0:
            raise RuntimeError(f"{case['name']}: prepare: {output}")

    def shell(self, command, seconds=PATIENCE):
        return shell(command, self.folder, SIZES[self.mode], seconds)

    def words(self, strategy, probes):
        return [self.program, "run", "--strategy", strategy, "--probes-from", str(probes), "--partial", "--json"]

    def run(self, strategy=None, probes=None):
        """Result, seconds, and the reports of `proberace run`."""
        report = self.folder.parent / f"report-{self.folder.name}.json"
        words = [*self.words(strategy, probes), "--out", str(report), "--"] if strategy and self.mode == "kept" else []
        run = shlex.join(words)
        toggler = None
        begin = time.monotonic()
        try:
            if "load" in self.case:
                toggler = Toggler(self, strategy, probes) if strategy and self.mode == "toggled" else None
                result, seconds = self.serve(run, toggler)
            else:
                toggler = Toggler(self, strategy, probes) if strategy and self.mode == "toggled" else None
                run_line = self.case["run"]
                result = self.shell(toggler.announced(run_line) if toggler else run_line.replace("$run", run))
                seconds = time.monotonic() - begin
        finally:
            if toggler:
                toggler.end()
        if result[0] is not None:
            result = (*result, *self.shell(self.case["check"]))
        reports = [json.loads(report.read_text())] if report.exists() else []
        if toggler and toggler.failure:
            result = (*result, toggler.failure)
        return list(result), seconds, toggler.reports if toggler else reports

    def serve(self, run, toggler):
        line = self.case["run"]
        command = toggler.announced(line) if toggler else line.replace("$run", run)
        server = subprocess.Popen(["bash", "-c", command], cwd=self.folder, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            deadline = time.monotonic() + 60
            while self.shell(self.case["ready"], 10)[0] != 0:
                if time.monotonic() > deadline or server.poll() is not None:
                    return (None, "the server does not serve"), 0.0
                time.sleep(0.05)
            begin = time.monotonic()
            result = self.shell(self.case["load"])
            seconds = time.monotonic() - begin
            self.shell(self.case["stop"], 20)
            return (*result, server.wait(30)), seconds
        except subprocess.TimeoutExpired:
            return (None, "the server did not end when it was told to"), 0.0
        finally:
            end_group(server)


def lives(process):
    """True if it has not ended; one that nobody has waited for has."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Toggler:
    """Attaches to the program and leaves it, again and again, until it ends."""

    def __init__(self, trial, strategy, probes):
        self.words = trial.words(strategy, probes)
        self.file = trial.folder.parent / f"process-{trial.folder.name}"
        self.file.unlink(missing_ok=True)
        self.reports, self.failure, self.ended = [], "", threading.Event()
        self.thread = threading.Thread(target=self.toggle)
        self.thread.start()

    def announced(self, command):
        """The command, so that the program's process id is in the file before the program is executed."""
        return command.replace("$run", f"bash -c 'echo $$ > {self.file}; exec \"$@\"' bash")

    def toggle(self):
        while not (self.file.exists() and self.file.read_text().strip()):
            if self.ended.wait(0.01):
                return
        process = self.file.read_text().strip()
        while lives(process) and os.path.basename(os.path.realpath(f"/proc/{process}/exe")) == "bash":
            if self.ended.wait(PAUSE):
                return
        while not self.ended.wait(PAUSE) and lives(process):
            try:
                run = subprocess.run([*self.words, "--pid", process, "--duration", f"{KEPT * 1000:.0f}ms"],
                                     capture_output=True, text=True, timeout=PATIENCE)
                if run.returncode == 0:
                    self.reports.append(json.loads(run.stdout))
                elif lives(process) and self.reports:  # else its libraries may not have been there yet
                    self.failure = self.failure or run.stderr.strip()
            except (subprocess.TimeoutExpired, ValueError) as error:
                self.failure = self.failure or str(error)
                return

    def end(self):
        self.ended.set()
        self.thread.join()


def unprobed(program, case, mode, folder):
    """The result of three runs, and the median of their seconds."""
    runs = [Trial(program, case, tempfile.mkdtemp(dir=folder), mode).run() for _ in range(3)]
    if any(r[0] != runs[0][0] for r in runs) or runs[0][0][0] != 0:
        print(f"programs: {case['name']} is not the same each time without probes:",
              *(str(r[0])[:300] for r in runs), sep="\n  ", file=sys.stderr)
        sys.exit(1)
    return {"result": runs[0][0], "seconds": round(sorted(r[1] for r in runs)[1], 3)}


def functions_of(program, case, how_many):
    """Names of so many functions, evenly spread over the object."""
    file = case["probe"]
    for candidate in (f"/usr/lib/x86_64-linux-gnu/{file}", f"/lib/x86_64-linux-gnu/{file}"):
        if os.path.isfile(candidate):
            file = candidate
    if file == "cc1":
        file = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True).stdout.strip()
    listed = subprocess.run([program, "symbols", file, "--json"], capture_output=True, text=True, check=True)
    functions = [f for o in json.loads(listed.stdout)["objects"] for f in o["functions"] if f["bytes"] and not f["indirect"]]
    addresses = sorted({f["address"] for f in functions})
    step = max(1, len(addresses) / how_many)
    chosen = addresses[: how_many] if len(addresses) <= how_many else [addresses[int(i * step)] for i in range(how_many)]
    return [f"{case['probe']}:{a:#x}" for a in chosen]


def counts_of(report):
    return {site["place"]: site["hits"] for site in report["sites"]}


def probe(program, case, strategy, how_many, mode, bare, folder):
    """A row of the table."""
    names = functions_of(program, case, how_many)
    probes = pathlib.Path(folder) / "probes"
    probes.write_text("\n".join(names) + "\n")
    trial_folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
    result, seconds, reports = Trial(program, case, trial_folder, mode).run(strategy, probes)
    row = {"program": case["name"], "strategy": strategy, "probes": how_many, "mode": mode,
           "same": result == bare["result"], "seconds": round(seconds, 3), "bare_seconds": bare["seconds"],
           "times_armed": len(reports), "armed": len(reports[0]["sites"]) if reports else 0,
           "refused": len(reports[0]["refused"]) if reports else 0,
           "hits": sum(sum(counts_of(r).values()) for r in reports)}
    if not row["same"]:
        row["difference"] = f"{result} instead of {bare['result']}"[:600]
    if not reports:
        row["same"], row["difference"] = False, row.get("difference", "") + " no report: the probes were never armed"
    if mode == "kept" and reports:
        row["counts"] = counts_of(reports[0])
    return row


def key(row):
    return row["program"], row["strategy"], row["probes"], row["mode"]


def compare_counts(rows):
    """Where a program executes each function as often in every run: the rows whose counts are not those of another
    strategy, and where."""
    differing = {}
    groups = collections.defaultdict(list)
    for row in rows:
        if row.get("counts") and row["case_counts"] == "same" and row["same"]:
            groups[row["program"], row["probes"]].append(row)
    for group in groups.values():
        for row in group:
            for other in group:
                wrong = [p for p, hits in row["counts"].items() if other["counts"].get(p, hits) != hits]
                if wrong:
                    place = wrong[0]
                    differing[key(row)] = (f"{len(wrong)} of {len(row['counts'])} counts are not those of {other['strategy']}: "
                                           f"{place} {row['counts'][place]}, not {other['counts'][place]}")
                    break
    return differing


def table(rows):
    strategies = sorted({r["strategy"] for r in rows})
    probes = sorted({r["probes"] for r in rows})
    lines = []
    for mode in SIZES:
        heading = "Probed from beginning to end" if mode == "kept" else "Probed and left again and again while it runs"
        lines += [f"## {heading}", "", "| program | strategy | " + " | ".join(f"{n} probes" for n in probes) + " |",
                  "|---|---|" + "---|" * len(probes)]
        by_key = {key(r): r for r in rows}
        for program in sorted({r["program"] for r in rows}):
            for strategy in strategies:
                cells = []
                for n in probes:
                    row = by_key.get((program, strategy, n, mode))
                    if row is None:
                        cells.append("not run")
                    elif not row["same"]:
                        cells.append("**different**")
                    elif "counts_differ" in row:
                        cells.append("**counts differ**")
                    elif mode == "kept":
                        cells.append(f"{row['seconds'] / row['bare_seconds']:.1f} ×, {row['hits']:,} hits")
                    else:
                        cells.append(f"{row['times_armed']} times, {row['hits']:,} hits")
                if set(cells) != {"not run"}:
                    lines.append("| {} | {} | {} |".format(program, strategy.replace("|", "\\|"), " | ".join(cells)))
        lines.append("")
    broken = [r for r in rows if not r["same"] or "counts_differ" in r]
    if broken:
        lines += ["## What differs", ""]
        for r in broken:
            lines.append(f"- {', '.join(map(str, key(r)))}: {r.get('difference') or r['counts_differ']}")
    return "\n".join(lines) + "\n", bool(broken)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", action="append")
    parser.add_argument("--strategy", action="append")
    parser.add_argument("--probes", action="append", type=int)
    parser.add_argument("--proberace", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    cases = [read_case(p) for p in sorted(CASES.glob("*.case"))]
    if arguments.program:
        unknown = set(arguments.program) - {c["name"] for c in cases}
        if unknown:
            print(f"programs: no case is called {', '.join(sorted(unknown))}; they are the files of {CASES.relative_to(ROOT)}",
                  file=sys.stderr)
            sys.exit(2)
        cases = [c for c in cases if c["name"] in arguments.program]
    kept = arguments.out / "rows.jsonl"
    machine = subprocess.run([arguments.proberace, "--machine"], capture_output=True, text=True, check=True).stdout.strip()
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    rows = [r for r in rows if r["same"]]  # what was different is tried again
    done = {key(r) for r in rows}
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            bare = {}
            for strategy in arguments.strategy:
                for how_many in arguments.probes or (10, 100, 1000):
                    for mode in SIZES:
                        if (case["name"], strategy, how_many, mode) in done:
                            continue
                        if mode not in bare:
                            bare[mode] = unprobed(arguments.proberace, case, mode, folder)
                        row = probe(arguments.proberace, case, strategy, how_many, mode, bare[mode], folder)
                        row["case_counts"] = case["counts"]
                        print(*key(row), "same" if row["same"] else f"DIFFERENT: {row['difference']}",
                              f"{row['seconds']} s", flush=True)
                        with kept.open("a") as file:
                            file.write(json.dumps(row) + "\n")
                        rows.append(row)
    for row in rows:
        row.pop("counts_differ", None)
    for where, words in compare_counts(rows).items():
        next(row for row in rows if key(row) == where)["counts_differ"] = words
    value = {"schema": "proberace/programs/1", "kernel": os.uname().release, "machine": machine,
             "rows": [{k: v for k, v in r.items() if k not in ("counts", "case_counts")} for r in rows]}
    (arguments.out / "programs.json").write_text(json.dumps(value, indent=1) + "\n")
    text, broken = table(value["rows"])
    (arguments.out / "programs.md").write_text(text)
    print(text)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
