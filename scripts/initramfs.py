"""The files of a guest: a program with the shared libraries it needs, a first process, and what they expect to find."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDERS = ("dev", "proc", "sys", "tmp", "out", "run", "etc", "bin", "lib64")


def shared_libraries(program):
    """Where the loader looks for each, links not followed. Empty for a program that needs none."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True)
    if said.returncode != 0:
        return [] # "not a dynamic executable"
    missing = re.findall(r"^\s*(\S+) => not found", said.stdout, re.M)
    if missing:
        raise RuntimeError(f"{program} needs {', '.join(missing)}, which is not installed")
    return re.findall(r"(/\S+) \(0x", said.stdout)


def files(programs, others=()):
    """A list of pairs: the place in the guest and the file here. `programs` maps such places to programs, which bring
    their libraries; `others` holds further pairs. A place occurs once."""
    list_of = dict(others)
    for place, program in programs.items():
        list_of[place] = str(program)
        for library in shared_libraries(program):
            list_of[library] = library
    return sorted(list_of.items())


def pack(pairs, archive):
    """Writes the archive that the kernel unpacks: cpio's format `newc`, gzipped."""
    with tempfile.TemporaryDirectory() as folder:
        for name in FOLDERS:
            os.makedirs(os.path.join(folder, name))
        for place, source in pairs:
            there = Path(folder + place)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, there) # what a link points to, under the link's name
        names = subprocess.run(["find", ".", "-print0"], cwd=folder, stdout=subprocess.PIPE, check=True).stdout
        made = subprocess.run(["cpio", "--null", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=folder, input=names,
                              stdout=subprocess.PIPE, check=True).stdout
        with open(archive, "wb") as out:
            subprocess.run(["gzip", "-1"], input=made, stdout=out, check=True)
