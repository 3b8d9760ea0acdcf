"""Checks the protocols' models (stress/models) with Spin, each with every guard on, and with each guard off; compares
them with the code in both directions. What comes out is a table and, in --out, models.json."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT / "stress" / "models"
NOT_STEPS = {"begin", "end", "look", "lock", "idle", "join", "quiesce.wait", "departure.wait", "stop.look", "stop.wait",
             "record.new", "record.words", "lend.note"}
LAST_STEPS = 2  # of a trail, in which the mutant may fail already
UNSEEN = "not observable on this machine"
NOT_OBSERVABLE = "not-observable"  # instead of a mutant
ITSELF = "itself"  # a guard that the code has not: it is its own mutant


def fail(message):
    sys.exit(f"models: {message}")


def run(command, folder, seconds=None):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
    return done.returncode, done.stdout + done.stderr


class Model:
    def __init__(self, path):
        self.path, self.name = path, path.stem
        text = path.read_text()
        head = text[: text.index("*/")]
        self.scenario = "\n".join(re.findall(r"Scenario: (.*)", head)) + "\n"
        self.guards = [(m[1], m[2].strip()) for m in re.finditer(r"Guard: (\w+) (.*)", head)]
        self.properties = re.search(r"Properties: (.*)", head).group(1)

    def verifier(self, folder, off=None, more=(), looks_for="-DSAFETY"):
        """Builds pan in the folder. Partial order reduction is left to Spin; states are compressed without loss."""
        definitions = [f"-D{guard}={0 if guard == off else 1}" for guard, _ in self.guards] + list(more)
        for source in [*MODELS.glob("*.inc"), self.path]:
            shutil.copy(source, folder)
        status, output = run(["spin", "-a", *definitions, self.path.name], folder)
        if status != 0 or "rror" in output:
            fail(f"{self.path.name}: {output.strip()}")
        status, output = run(["cc", "-O2", "-w", looks_for, "-DCOLLAPSE", f"-I{folder}", "-o", "pan", "pan.c"], folder)
        if status != 0:
            fail(f"{self.path.name}: {output}")

    def search(self, folder, *options):
        _, output = run(["./pan", "-m1000000", *options], folder)
        found = re.search(r"errors: (\d+)", output)
        unfinished = found and found.group(1) == "0" and "Search not completed" in output
        if not found or unfinished or "max search depth too small" in output or "out of memory" in output:
            fail(f"{self.path.name}: the search did not end\n{output}")
        return {
            "errors": int(found.group(1)),
            "states": int(float(re.search(r"([\d.]+(?:e\+\d+)?) states, stored", output).group(1))),
            "depth": int(re.search(r"depth reached (\d+)", output).group(1)),
            "megabytes": float(re.search(r"([\d.]+)\s+total actual memory usage", output).group(1)),
            "violated": (re.search(r"pan:\d+: (.*) \(at depth", output) or [None, ""])[1],
            "output": output,
        }


def numbers():
    names = re.findall(r"#define S_(\w+) (\d+)", (MODELS / "names.inc").read_text())
    return {name: int(number) for name, number in names}


def plain(name):
    return re.sub(r"[.-]", "_", name)


def check(model, options):
    """With every guard on. First that no assertion fails and no state is a deadlock; then progress: that no execution
    goes round in a circle. No step of a model is marked as progress, so Spin's non-progress cycles are all cycles; without
    one, and without a deadlock, every insert, remove and hit of the model ends. Circles are looked for at the small size
    only."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model.verifier(folder, more=["-DFULL"] if options.full else [])
        found = model.search(folder)
        if found["errors"] == 0:
            model.verifier(folder, looks_for="-DNP")
            cycles = model.search(folder, "-l")
            found |= {key: cycles[key] for key in ("errors", "violated")} | {"cycle_states": cycles["states"]}
    found.pop("output")
    return found


def without(model, guard, mutant, options):
    """The guard off: Spin must find something; its trail must break the code's mutant and not the code. What the code is
    to show, it must show as a controlled run is (FRESH): with cores that fetch anew each time. Where that leaves nothing
    to find, the code cannot show it."""
    row = {"guard": guard, "mutant": mutant}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model.verifier(folder, off=guard, more=["-DFRESH"])
        found = model.search(folder)
        if mutant == NOT_OBSERVABLE:
            if found["errors"] != 0:
                fail(f"{model.name}: what is wrong without {guard} could be observed: {found['violated']}")
            model.verifier(folder, off=guard)
            found = model.search(folder)
        row |= {"errors": found["errors"], "violated": found["violated"]}
        trails = list(folder.glob("*.trail"))
        if found["errors"] == 0 or not options.replay:
            return row
        if mutant == NOT_OBSERVABLE:
            return row | {"replayed": UNSEEN}
        replay = ["replay", "--json", "--trail", str(trails[0]), "--model", str(model.path), "--without", guard]

        def did(program):
            status, output = run([str(program), *replay], ROOT)
            if status not in (0, 1):
                return output.strip()[-300:], None
            replayed = json.loads(output)
            ending = replayed["verdict"]["ending"]
            return ("hung" if ending == "hung" else ("held", "broken")[status]), replayed["trail"]

        if mutant == ITSELF:
            row["code_did"], row["code_took"] = did(options.controlled)
            return row | {"replayed": "yes" if row["code_did"] == "broken" else "NO"}
        program = ROOT / "build" / "release" / "mutants" / f"mutant-{mutant}"
        status, output = run(["ninja", "-C", str(ROOT / "build" / "release"), f"mutant-{mutant}"], ROOT)
        if status != 0:
            fail(f"{mutant} does not build: {output[-500:]}")
        row["mutant_did"], row["mutant_took"] = did(program)
        row["code_did"], row["code_took"] = did(options.controlled)
        row["replayed"] = "yes" if row["mutant_did"] == "broken" and row["code_did"] == "held" else "NO"
    return row


def record(model, count, options, folder):
    """Schedules of the code, one half random, one half by pct: lists of (task, point). One that breaks ends its run, and
    the next begins behind it."""
    schedules = []
    broken = any(mutant == ITSELF for _, mutant in model.guards)
    for scheduler in ("random", "pct"):
        file = folder / scheduler
        wanted, done, ran, in_vain = (count + 1) // 2, 0, 0, 0
        while done < wanted:
            schedules_now = str(min(wanted - done, 1000))
            status, output = run([str(options.controlled), "hunt", "--scenario", model.scenario, "--scheduler", scheduler,
                                  "--seed", str(1 + 1000 * ran), "--per-scenario", schedules_now, "--schedules", schedules_now,
                                  "--budget", "500s", "--record", str(file), "--out", str(folder)], ROOT)
            if status not in ((0, 1) if broken else (0,)):
                fail(f"{model.name}: the code does not hold: {output}")
            before, done, ran = done, len(file.read_text().splitlines()) if file.exists() else 0, ran + 1
            in_vain = in_vain + 1 if done == before else 0  # one that crashes is not recorded
            if in_vain > (20 if broken else 0):
                fail(f"{model.name}: no schedule was recorded: {output}")
        for line in file.read_text().splitlines():
            steps = [step.split(":", 1) for step in line.split()]
            schedules.append([(int(task), name) for task, name in steps if name not in NOT_STEPS])
    return schedules


READER = """
#include <stdio.h>
#include <stdlib.h>
static int farthest[TRACES_READ], whole[TRACES_READ];
static void report_traces(void) {
  int i, accepted = 0;
  for (i = 0; i < TRACES_READ; ++i)
    accepted += whole[i];
  printf("accepted %d\\n", accepted);
  for (i = 0; i < TRACES_READ; ++i)
    if (!whole[i])
      printf("rejected %d %d\\n", i, farthest[i]);
}
static void trace_accepted(int trace) { whole[trace] = 1; }
static void read_step(int trace, int position, short *task, short *name) {
  static int asked = 0;
  const int at = first_step[trace] + position;
  if (!asked++)
    atexit(report_traces);
  if (position > farthest[trace])
    farthest[trace] = position;
  if (at == first_step[trace + 1]) {
    *task = *name = -1;
  } else {
    *task = steps[at][0];
    *name = steps[at][1];
  }
}
"""


def wrong_ones(schedules, wanted):
    """Schedules with one mistake each: a step left out, taken twice, taken by another thread, or another step in its place.
    A few may be schedules of the model all the same."""
    drawn, wrong = random.Random(1), set()
    for _ in range(20 * wanted):
        schedule = list(drawn.choice(schedules))
        if len(wrong) == wanted or not schedule:
            break
        at = drawn.randrange(len(schedule))
        task, name = schedule[at]
        tasks, names = {t for t, _ in schedule}, {n for _, n in schedule}
        schedule[at : at + 1] = drawn.choice([
            [], [(task, name)] * 2, [(drawn.choice(sorted(tasks)), name)], [(task, drawn.choice(sorted(names)))]])
        if tuple(schedule) not in schedules:
            wrong.add(tuple(schedule))
    return sorted(wrong)


def accept(model, options):
    """The code's steps must be the model's, too: every recorded schedule is one that the model can take, all of it, and
    has then ended. Of schedules with a mistake the model must reject at least half."""
    known = numbers()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        schedules = record(model, options.traces, options, folder)
        distinct = sorted({tuple(s) for s in schedules})
        unknown = sorted({name for s in distinct for _, name in s if plain(name) not in known})
        if unknown:
            fail(f"{model.name}: the code has points that names.inc has not: {', '.join(unknown)}")
        wrong = wrong_ones(distinct, min(len(distinct), 200))
        first, steps = [0], []
        for schedule in distinct + wrong:
            steps += [f"{{{task},{known[plain(name)]}}}" for task, name in schedule]
            first.append(len(steps))
        (folder / "traces.h").write_text(
            f"#define TRACES_READ {len(distinct) + len(wrong)}\nstatic const int trace_count = TRACES_READ;\n"
            f"static const int first_step[] = {{{','.join(map(str, first))}}};\n"
            f"static const short steps[][2] = {{{','.join(steps)}}};\n{READER}")
        itself = next((guard for guard, mutant in model.guards if mutant == ITSELF), None)
        model.verifier(folder, off=itself, more=["-DTRACES"])
        output = model.search(folder, "-E", *(["-A"] if itself else []))["output"]
    all_rejected = [(int(i), int(at)) for i, at in re.findall(r"rejected (\d+) (\d+)", output)]
    rejected = [(i, at) for i, at in all_rejected if i < len(distinct)]
    row = {"schedules": len(schedules), "distinct": len(distinct), "accepted": len(distinct) - len(rejected),
           "wrong": len(wrong), "wrong_rejected": len(all_rejected) - len(rejected)}
    if "assertion violated" in output:
        row["violated"] = re.search(r"pan:\d+: (.*) \(at depth", output)[1]
    if rejected:
        index, at = rejected[0]
        row["first_rejected"] = [f"{task}:{name}" for task, name in distinct[index][: at + 1]]
    return row


def table(results):
    lines = ["| protocol | size | states | depth | MiB | properties | guards off that fail | replayed on the mutant | schedules of the code accepted | verdict |",
             "|---|---|---:|---:|---:|---|---|---|---|---|"]
    for r in results:
        failing = [g for g in r["guards"] if g["errors"]]
        replayed = [g.get("replayed") for g in r["guards"]]
        traces = r.get("traces")
        lines.append(
            f"| {r['name']} | {r['size']} | {r['states']:,} | {r['depth']} | {r['megabytes']:.0f} | {r['properties']} | {len(failing)} of {len(r['guards'])} | "
            + (f"{replayed.count('yes')} ({sum(map(followed, r['guards']))} step by step), {replayed.count(UNSEEN)} not observable"
               if any(replayed) else "not asked")
            + " | " + (f"{traces['accepted']:,} of {traces['distinct']:,} distinct ({traces['schedules']:,} run)" if traces else "not asked")
            + f" | {r['verdict']} |")
    return "\n".join(lines) + "\n"


def followed(guard):
    took = guard.get("mutant_took", guard.get("code_took"))
    return took is not None and took["steps"] - took["taken"] <= LAST_STEPS


def verdict(r):
    if r["errors"]:
        return f"broken: {r['violated']}"
    for g in r["guards"]:
        if not g["errors"]:
            return f"without {g['guard']} it holds, too"
        if g.get("replayed") == "NO":
            return f"the trail without {g['guard']}: {g['mutant']} {g.get('mutant_did', '')}, the code {g['code_did']}"
    traces = r.get("traces", {})
    if traces.get("accepted") != traces.get("distinct") or "violated" in traces:
        return "a schedule of the code is none of the model's"
    if 2 * traces.get("wrong_rejected", 0) < traces.get("wrong", 0):
        return f"of {traces['wrong']} schedules with a mistake it rejects only {traces['wrong_rejected']}"
    return "held"


def judged(model, options):
    r = {"name": model.name, "size": "large" if options.full else "small", "properties": model.properties}
    r |= check(model, options)
    r["guards"] = [without(model, guard, mutant, options) for guard, mutant in model.guards]
    if options.traces:
        r["traces"] = accept(model, options)
    r["verdict"] = verdict(r)
    print(f"{model.name}: {r['verdict']}", file=sys.stderr)
    return r


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="this model; may be repeated")
    parser.add_argument("--full", action="store_true", help="the large configurations")
    parser.add_argument("--replay", action="store_true", help="replay each trail on the code and on its mutant")
    parser.add_argument("--traces", type=int, default=0, help="compare so many schedules of the code with each model")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for models.md and models.json")
    options = parser.parse_args()
    options.controlled = ROOT / "build" / "release" / "proberace-controlled"
    models = [Model(path) for path in sorted(MODELS.glob("*.pml"))]
    for model in models:
        if not model.guards:
            fail(f"{model.name}: it names no guard")
    unknown = set(options.only) - {m.name for m in models}
    if unknown:
        fail(f"there is no model {', '.join(sorted(unknown))}; there are {', '.join(m.name for m in models)}")
    wanted = [m for m in models if not options.only or m.name in options.only]
    alone = options.full or options.replay or options.traces  # much memory, or the code's threads beside it
    with concurrent.futures.ThreadPoolExecutor(1 if alone else os.cpu_count()) as pool:
        results = list(pool.map(lambda model: judged(model, options), wanted))
    print(table(results), end="")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "models.md").write_text(table(results))
        (options.out / "models.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(r["verdict"] == "held" for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
