"""Tests of what is recorded: every schema of the code is in the table of results/README.md and the other way round;
every file of results/reference is still read by its reader, and gives the table that stands beside it; none holds a
kernel's whole command line.

Usage: results_test.py PROGRAM (the built proberace)."""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "results" / "reference"
PROGRAM = None  # the built proberace
NAME = re.compile(r'"(proberace/[a-z-]+/[0-9]+)"')

sys.dont_write_bytecode = True


def sources():
    for folder, endings in (("harness", ".cpp .h"), ("strategies", ".cpp .h"), ("stress", ".cpp .h"), ("scripts", ".py")):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in endings.split() and not file.stem.endswith("_test"):
                yield file


def comments_removed(text):
    return re.sub(r"//.*", "", text)


def listed():
    """The table of schemas: name to top-level fields."""
    rows = {}
    for line in (ROOT / "results" / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `proberace/"):
            rows[cells[0].strip("`")] = set(re.findall(r"`([a-z_]+)`", cells[-1]))
    return rows


def recorded():
    for file in sorted(REFERENCE.rglob("*.json")):
        yield file, json.loads(file.read_text())


def objects(value):
    """It, and every object inside."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from objects(inner)


class Schemas(unittest.TestCase):
    def test_the_table_lists_what_the_code_names(self):
        named = {}
        for file in sources():
            for name in NAME.findall(comments_removed(file.read_text())):
                named.setdefault(name, file.relative_to(ROOT))
        self.assertGreater(len(named), 10)
        for name, file in named.items():
            self.assertIn(name, listed(), f"{file} names it; list it in results/README.md")
        for name in listed():
            self.assertIn(name, named, "results/README.md lists it, and no source names it")

    def test_recorded_fields_are_listed(self):
        checked = 0
        for file, value in recorded():
            for found in objects(value):
                if "schema" in found:
                    self.assertIn(found["schema"], listed(), file)
                    self.assertLessEqual(set(found), listed()[found["schema"]], file)
                    checked += 1
        self.assertGreater(checked, 100)

    def test_printed_fields_are_listed(self):
        optional = {"proberace/hunt/2": {"data"}}  # by schema
        with tempfile.TemporaryDirectory() as folder:
            for command in ("list", "footprint --strategy poke+xol-vma", f"log record {folder}/log --strategy poke+xol-vma",
                            f"log check {folder}/log", f"hunt --strategy poke+xol-vma --budget 1s --out {folder}"):
                done = subprocess.run([PROGRAM, *command.split(), "--json"], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
                printed = json.loads(done.stdout)
                schema = printed["schema"]
                self.assertEqual(set(printed), listed()[schema] - optional.get(schema, set()), command)


class Reference(unittest.TestCase):
    """What is recorded can still be read."""

    def test_every_file_has_a_reader(self):
        readers = {"attach", "endurance", "saturation", "mutants", "models", "programs"}  # by the tests below
        runs = {file.parent for file, _ in recorded() if file.name in ("summary.json", "provenance.json")}
        for file, _ in recorded():
            self.assertTrue(file.parent in runs or file.parent.name in readers,
                            f"{file}: teach {Path(__file__).name} what reads it")

    def test_runs_by_report_and_figures(self):
        import paper_numbers
        import run_data
        for file, _ in recorded():
            if file.name == "summary.json":
                done = subprocess.run([PROGRAM, "report", file.parent], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)
                measured, verdicts, provenance = run_data.load(file.parent)
                self.assertTrue(measured or verdicts, file)
                self.assertEqual(provenance["schema"], "proberace/provenance/1")
                paper_numbers.claims(verdicts)
                paper_numbers.insertion(measured, 2)

    def test_endurance(self):
        import endure
        folder = REFERENCE / "endurance"
        self.assertEqual("\n".join(endure.table(folder)) + "\n", (folder / "endurance.md").read_text())
        for file in folder.glob("*.pct.json"):
            state, _ = endure.progress(json.loads(file.read_text()), 10, 1)
            self.assertEqual(state, "done", file)

    def test_saturation(self):
        import saturate
        folder = REFERENCE / "saturation"
        self.assertEqual("\n".join(saturate.table(folder)) + "\n", (folder / "saturation.md").read_text())

    def test_attach(self):
        import attach
        folder = REFERENCE / "attach"
        record = json.loads((folder / "attach.json").read_text())
        self.assertEqual(attach.table(record), (folder / "attach.md").read_text())

    def test_programs(self):
        import programs
        folder = REFERENCE / "programs"
        record = json.loads((folder / "programs.json").read_text())
        self.assertEqual(programs.table(record["rows"])[0], (folder / "programs.md").read_text())

    def test_mutants(self):
        import mutants
        folder = REFERENCE / "mutants"
        trials = json.loads((folder / "trials.json").read_text())
        self.assertEqual(mutants.page(trials, mutants.by_mutant(trials)), (folder / "mutants.md").read_text())

    def test_models(self):
        import models
        folder = REFERENCE / "models"
        results = json.loads((folder / "models.json").read_text())
        self.assertEqual(models.table(results), (folder / "models.md").read_text())
        for row in results:
            self.assertEqual(models.verdict(row), row["verdict"], row["name"])

    def test_no_command_line_of_a_kernel(self):
        for file in REFERENCE.rglob("*"):
            if file.is_file() and file.suffix in (".json", ".jsonl", ".md", ".html"):
                text = file.read_text()
                for trace in ("BOOT_IMAGE", "root=", "rdinit=", "init=", "console="):
                    self.assertNotIn(trace, text, file)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else sys.exit(__doc__)
    unittest.main()
