"""The benchmark's table: verdicts, and the tables in docs/performance.md."""

from __future__ import annotations

import pytest

from tests.bench import document, rows
from tests.bench.rows import Figure, Goal, Row
from tests.bench.sections import SECTIONS


def row(seconds: float, limit: float) -> Row:
    """A row with this figure and goal."""
    return Row("answer", rows.MILLISECONDS, Figure(seconds), goal=Goal(limit, "one fsync + 3 ms"))


def test_a_row_meets_a_goal_that_it_does_not_exceed() -> None:
    assert row(0.003, 0.003).verdict == rows.MEETS
    assert row(0.0031, 0.003).verdict == rows.FALLS_SHORT


def test_a_row_without_a_figure_says_why() -> None:
    missing = rows.unmeasured("agent", "etcd could not be built")
    assert (missing.verdict, missing.measured) == (rows.NOT_MEASURED, "etcd could not be built")


def test_a_table_shows_figure_goal_and_verdict() -> None:
    last = rows.as_markdown([row(0.004, 0.003)]).splitlines()[-1]
    assert last == "| answer | 4.0 ms |  | <= 3.0 ms (one fsync + 3 ms) | falls short |"


def test_only_the_text_between_the_markers_is_replaced() -> None:
    text = "before\n<!-- bench a -->\nold\n<!-- /bench a -->\nafter <!-- bench b --><!-- /bench b -->"
    assert document.replaced(text, "a", "new") == text.replace("old", "new")


def test_a_block_without_markers_is_rejected() -> None:
    with pytest.raises(ValueError, match="bench c"):
        document.replaced("no markers", "c", "new")


def test_the_document_has_a_place_for_every_section() -> None:
    text = document.PATH.read_text()
    for name in (document.MACHINE, *(section.name for section in SECTIONS)):
        assert document.replaced(text, name, "unlikely text") != text
