"""Checks that the documents say what the program and the sources say: plug-ins and their promises, commands, folders,
links, lengths. Prints a line for each that does not, and ends with 1."""
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/proberace"
LONG = {"harness", "strategies", "stress", "stress/cli", "stress/models"}  # their READMEs are guides
FOR_TESTS = {"harness/emulate/array_context.h"}  # a header that no program includes

wrong = []


def expect(holds, words):
    if not holds:
        wrong.append(words)


def lines(path):
    return (ROOT / path).read_text().splitlines()


def files(*patterns):
    """Those that git knows or would add, and that are there."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *patterns], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split("\n")
    return [name for name in listed if name and (ROOT / name).exists()]


def output_of(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, text=True).stdout


def not_promised():
    """By plug-in, what it cannot promise. A transport's own limits show with parts that promise everything."""
    listed = json.loads(output_of("list", "--json"))
    promised = {plug_in["name"]: set(plug_in["promises"])
                for plug_in in listed["plug_ins"] if plug_in["promises"] is not None}
    everything = set().union(*promised.values())
    strategies = {strategy["name"]: set(strategy["promises"]) for strategy in listed["strategies"]}
    for plug_in in listed["plug_ins"]:
        if plug_in["promises"] is None:
            name = plug_in["name"]
            promised[name] = strategies["poke+emulate" if name == "signal" else f"{name}:poke+emulate"]
    return {name: everything - promises for name, promises in promised.items()}


def check_plug_ins():
    page = "strategies/README.md"
    seen = set()
    limits = not_promised()
    expect(not limits["poke"] and not limits["emulate"], "poke and emulate no longer promise everything")
    for line in lines(page):
        if not line.startswith("| `"):
            continue
        cells = [cell.replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        name = re.findall("`([^`]+)`", cells[0])[0]
        if name not in limits:
            expect(False, f"{page}: {name} is no plug-in")
            continue
        expect(name not in seen, f"{page}: {name} has two rows")
        seen.add(name)
        said = set(re.findall("`([^`]+)`", cells[-1]))
        expect(said == limits[name],
               f"{page}: {name} cannot promise {sorted(limits[name])}, and the table has {sorted(said)}")
    for name in limits.keys() - seen:
        expect(False, f"{page}: {name} has no row")


def check_commands():
    guide = lines("stress/cli/README.md")
    readme = (ROOT / "README.md").read_text()
    listed = output_of("--help").split("Subcommands:")[1]
    commands = re.findall(r"^  ([a-z]+)  ", listed, re.MULTILINE)
    expect(len(commands) > 9, "proberace --help lists no commands")
    for command in commands:
        expect(f"## {command}" in guide, f"stress/cli/README.md: {command} has no section")
        expect(f"](stress/cli/README.md#{command})" in readme, f"README.md: {command} has no row")


def anchors(path):
    """As GitHub makes them of headings."""
    page = path / "README.md" if path.is_dir() else path
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_-]", "", heading.lower().replace(" ", "-")) for heading in headings}


def check_links():
    checked = 0
    for name in files("*.md"):
        for to, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", (ROOT / name).read_text()):
            if to.startswith("http"):
                continue
            checked += 1
            target = (ROOT / name).parent / to if to else ROOT / name
            if not target.exists():
                expect(False, f"{name}: a link leads to {to}, which is not there")
            elif anchor:
                expect(anchor in anchors(target), f"{name}: a link leads to {to}#{anchor}, which is not there")
    expect(checked > 50, "no links were found")


def check_folders():
    """Each folder says in at most ten lines what it is."""
    folders = set()
    for name in files("harness/*.cpp", "strategies/*.cpp", "stress/*.cpp"):
        folders.update(str(parent) for parent in Path(name).parents if str(parent) != ".")
    folders.discard("strategies/example")  # strategies/README.md tells of it
    for folder in sorted(folders):
        page = ROOT / folder / "README.md"
        expect(page.exists(), f"{folder} has no README.md")
        if page.exists() and folder not in LONG:
            length = len(lines(page))
            expect(length <= 10, f"{folder}/README.md has {length} lines, more than ten")
    expect(len(lines("README.md")) <= 150, "README.md has more than 150 lines")


def check_layers():
    """A folder of the harness includes only those above it in the table of harness/README.md."""
    place = {}
    for line in lines("harness/README.md"):
        if row := re.match(r"\| \[([a-z]+)\]\(", line):
            place.setdefault(row[1], len(place))
    for name in files("harness/*.h", "harness/*.cpp"):
        own = name.split("/")[1]
        expect(own in place, f"harness/README.md: {own} has no row")
        if name.endswith("_test.cpp") or name in FOR_TESTS or own not in place:
            continue
        for other, folder in re.findall(r'#include "((?:harness/([a-z]+)|strategies|stress)/[^"]+)"',
                                        (ROOT / name).read_text()):
            expect(place.get(folder, len(place)) <= place[own], f"{name} includes {other}")


for check in (check_plug_ins, check_commands, check_links, check_folders, check_layers):
    check()
for words in wrong:
    print(words, file=sys.stderr)
sys.exit(1 if wrong else 0)
