"""The limit of open files, in a process of its own, as a hard limit cannot be raised again."""

from __future__ import annotations

import sys

import pytest

from tests.support import command

RAISED = """
import resource
from controller import open_files
open_files.raise_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(256, 2048, "2048 2048"), (2048, 2048, "2048 2048")],
    ids=["low", "as high as it can"],
)
def test_the_soft_limit_is_raised_to_the_hard_one(soft: int, hard: int, expected: str) -> None:
    limited = f"ulimit -Sn {soft} && ulimit -Hn {hard} && exec '{sys.executable}' -c '{RAISED}'"
    assert command.run("bash", "-c", limited).stdout.strip() == expected
