"""The tables of reasons and causes are part of the API: code and documentation must list the same ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from controller import names
from controller.api import reasons, restart_causes

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
