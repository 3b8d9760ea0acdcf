"""Chooses strategies from the output of `proberace list --json` by what they promise and state."""

import json
import os
import sys


def exact(listed):
    """Those that promise exact counts: whole ones, every stepper beside the reference armer, every armer beside the
    reference stepper; under other transports no variants of armers. The reference peer is not among them."""
    reference = listed["reference"]
    for row in listed["strategies"]:
        parts = row["parts"]
        plain = parts is None or parts["armer"] == reference["armer"] or parts["stepper"] == reference["stepper"]
        variant = parts is not None and ":" in row["name"] and "/" in parts["armer"]
        if row["name"] != reference["peer"] and plain and not variant and "exact-counts" in row["promises"]:
            yield row["name"]


def ways(listed):
    """One for each way that hits can take: in the process, beside the reference armer. The shortest name stands for
    those whose hits take the same paths."""
    shortest = {}
    for row in sorted(listed["strategies"], key=lambda row: len(row["name"])):
        parts = row["parts"]
        plain = parts is None or (parts["armer"] == listed["reference"]["armer"] and ":" not in row["name"])
        if row["name"] != listed["reference"]["peer"] and plain and "exact-counts" in row["promises"]:
            # A strategy that states no paths stands for itself.
            shortest.setdefault(tuple(row["facts"]["paths"]) or row["name"], row["name"])
    return shortest.values()


def supervised(listed):
    """Those whose hits another process handles: a hit costs at least two switches between processes."""
    return [row["name"] for row in listed["strategies"] if row["facts"]["handled_by"] == "supervisor"]


def variants(listed):
    """Those that differ in a detail from another strategy, and those whose hits another process handles."""
    reference = listed["reference"]
    slow = supervised(listed)
    for row in listed["strategies"]:
        parts = row["parts"] or {"armer": "", "stepper": ""}
        transport = row["name"].partition(":")[0] if ":" in row["name"] else ""
        detail = "/" in parts["armer"] or "|" in parts["stepper"] or parts["stepper"].endswith("-nested")
        plainest = (parts["armer"], parts["stepper"]) == (reference["armer"], reference["stepper"])
        if detail or row["name"] in slow or (row["parts"] and transport and not plainest):
            yield row["name"]


def run(listed):
    """Those that `proberace run` offers: every one that a supervisor handles, and the kernel's where it can be had."""
    yield from supervised(listed)
    if os.geteuid() == 0:
        yield listed["reference"]["peer"]


def main(which):
    print("\n".join({"exact": exact, "supervised": supervised, "variants": variants, "ways": ways, "run": run}[which](json.load(sys.stdin))))


if __name__ == "__main__":
    main(*sys.argv[1:])
