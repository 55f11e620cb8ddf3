"""Booleans of a query are read as kube-apiserver reads them."""

from __future__ import annotations

import pytest

from controller.apiserver.flags import flag


@pytest.mark.parametrize("value", ["1", "true", "True", "TRUE", "t", "", "2", "invalid"])
def test_any_other_value_is_true(value: str) -> None:
    assert flag({"watch": value}, "watch")


@pytest.mark.parametrize("query", [{}, {"watch": "0"}, {"watch": "false"}, {"watch": "False"}, {"watch": "FALSE"}])
def test_only_these_are_false(query: dict[str, str]) -> None:
    assert not flag(query, "watch")
