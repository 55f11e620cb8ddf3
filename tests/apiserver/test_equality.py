"""Equality of JSON values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from controller.apiserver.equality import identical
from tests.apiserver.bodies import VALUES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1, True), (1, True, False), (0, False, False), (1, 1.0, False), ("1", 1, False), (None, None, True),
        ([1], [True], False), ({"a": [0]}, {"a": [False]}, False), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False), ({}, [], False), ({}, None, False),
    ],
)  # fmt: skip
def test_values_of_another_type_differ(one: Any, other: Any, same: bool) -> None:
    assert identical(one, other) == same
    assert identical(other, one) == same


@given(value=VALUES)
def test_a_value_is_itself(value: Any) -> None:
    assert identical(value, value)
