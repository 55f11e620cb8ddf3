"""``make cluster-test``: builds the programs of a cluster, then runs the tests that need one; passes on arguments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cluster import nodes, programs

PROJECT = Path(__file__).parents[2]


def main() -> int:
    """Run the tests; return the exit status, which is 1 if there can be no cluster, after a line that says why."""
    try:
        nodes.build()
    except programs.Unavailable as error:
        print(f"cluster-test: {error}", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "pytest", "tests", "-m", "cluster", *sys.argv[1:]]
    return subprocess.run(command, cwd=PROJECT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
