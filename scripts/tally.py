"""Adds up the JUnit reports of several pytest runs in a folder and prints the totals on one line.

usage: tally.py FOLDER   fails when a test failed or none passed
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as Xml


def count(folder: Path) -> dict[str, int]:
    """The numbers of passed, failed (or erroneous) and skipped tests in all reports below the folder."""
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for report in folder.rglob("*.xml"):
        for suite in Xml.parse(report).iter("testsuite"):
            tests, failures, errors, skipped = (
                int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
            )
            totals["failed"] += failures + errors
            totals["skipped"] += skipped
            totals["passed"] += max(tests - failures - errors - skipped, 0)
    return totals


def main(folder: str) -> int:
    """Print the totals; return the exit status."""
    totals = count(Path(folder))
    print(", ".join(f"{number} {outcome}" for outcome, number in totals.items()))
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
