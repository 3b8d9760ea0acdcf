"""Reading a recorded run: what figures, page and paper have in common."""

import json
import sys
from pathlib import Path

SCHEMA = "proberace/summary/1"
PEER = "kernel-uprobe"


def fail(message):
    print(f"proberace: {message}", file=sys.stderr)
    sys.exit(2)


def load(directory):
    """The run's measured rows, verdict rows and provenance."""
    run = Path(directory)
    try:
        summary = json.loads((run / "summary.json").read_text())
        provenance = json.loads((run / "provenance.json").read_text())
    except (OSError, ValueError) as error:
        fail(f"{run}: {error}")
    if summary.get("schema") != SCHEMA:
        fail(f"{run / 'summary.json'}: expected schema {SCHEMA}")
    measured = [row for row in summary["rows"] if "verdict" not in row]
    verdicts = [row for row in summary["rows"] if "verdict" in row]
    return measured, verdicts, provenance


def select(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def one(rows, **wanted):
    """The only row of that key, or None."""
    found = select(rows, **wanted)
    return found[0] if found else None


def in_order(rows, key):
    """The values of `key`, each once, as they come; the peer last."""
    values = list(dict.fromkeys(row[key] for row in rows))
    return sorted(values, key=lambda value: value == PEER)


def time(nanoseconds):
    for unit, scale in (("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= scale:
            return f"{nanoseconds / scale:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"
