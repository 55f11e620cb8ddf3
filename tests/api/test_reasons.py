"""The tables of reasons and causes are part of the API: code and documentation must list the same ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from controller import errors, names
from controller.api import reasons, restart_causes

SOURCES = Path(names.__file__).parent
DOCUMENT = Path(__file__).parents[2] / "docs" / "conditions.md"
TABLES = pytest.mark.parametrize(("mark", "module"), [("reasons", reasons), ("causes", restart_causes)])


@TABLES
def test_the_documentation_contains_the_table(mark: str, module: Any) -> None:
    _, _, rest = DOCUMENT.read_text().partition(f"<!-- {mark} -->")
    shown, _, _ = rest.partition(f"<!-- /{mark} -->")
    assert shown.strip() == module.table(), "paste the output of table() between the marks"


@TABLES
def test_no_name_is_listed_twice(mark: str, module: Any) -> None:
    names = [row.name for row in module.TABLE]
    assert sorted(set(names)) == sorted(names)


@TABLES
def test_every_constant_is_in_the_table(mark: str, module: Any) -> None:
    constants = {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    assert constants == {row.name for row in module.TABLE}


def test_the_documentation_describes_every_condition_type() -> None:
    block = Path(names.__file__).read_text().partition("# Condition types")[2].partition("\n\n")[0]
    types = {*re.findall(r' = "(\w+)"', block), names.DISK_FULL}
    assert {names.READY, names.CONFINED, names.CLOUD_CONNECTED} < types
    described = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text().partition("## Reasons")[0], re.MULTILINE)
    assert set(described) == types


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (reasons.PARENT_MISSING, errors.Waiting),
        (reasons.IMAGE_PULL_FAILED, errors.Retry),
        (reasons.IMAGE_REFUSED, errors.Stalled),
    ],
)
def test_the_reason_decides_the_error(reason: str, error: type[errors.ReconcileError]) -> None:
    made = reasons.error(reason, "it said no")

    assert (type(made), made.reason, str(made)) == (error, reason, "it said no")


def test_a_reason_that_ends_no_reconciliation_is_refused() -> None:
    with pytest.raises(ValueError, match="event"):
        reasons.error(reasons.CREATED, "it said no")


RAISED = re.compile(r"errors\.(Waiting|Retry|Stalled)\(\s*reasons\.([A-Z_]+)")


def test_every_raised_error_is_that_of_its_reason() -> None:
    raised = {found for path in SOURCES.rglob("*.py") for found in RAISED.findall(path.read_text())}
    assert ("Stalled", "REPLACE_FAILED") in raised
    wrong = {(error, name) for error, name in raised if reasons.failure(getattr(reasons, name)) != error.lower()}
    assert not wrong
