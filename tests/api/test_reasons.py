"""The tables of reasons and causes are part of the API: what the documentation lists must be what the code can say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller.api import reasons, restart_causes

DOCUMENT = Path(__file__).parents[2] / "docs" / "conditions.md"


TABLES = pytest.mark.parametrize(("mark", "module"), [("reasons", reasons), ("causes", restart_causes)])


@TABLES
def test_the_documentation_lists_every_one(mark: str, module: Any) -> None:
    _, _, rest = DOCUMENT.read_text().partition(f"<!-- {mark} -->")
    shown, _, _ = rest.partition(f"<!-- /{mark} -->")
    assert shown.strip() == module.table(), "put what table() returns between the marks"


@TABLES
def test_none_is_listed_twice(mark: str, module: Any) -> None:
    names = [row.name for row in module.TABLE]
    assert sorted(set(names)) == sorted(names)


@TABLES
def test_every_one_of_the_code_is_in_the_table(mark: str, module: Any) -> None:
    constants = {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    assert constants == {row.name for row in module.TABLE}
