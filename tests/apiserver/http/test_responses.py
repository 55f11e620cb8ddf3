"""YAML responses decode to the same objects as JSON responses in any YAML parser."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver.http import responses, yaml_bodies

ODD = [
    "",
    " ",
    "yes",
    "Null",
    "~",
    "1",
    "0x1",
    "1e3",
    "12:30",
    "2025-01-01",
    "a: b",
    "- a",
    "#",
    "a #b",
    "'",
    '"',
    "\\",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from([*ODD, "a\nb\n", "\x7f\x85\u2028\ufeff"])
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


@given(st.dictionaries(TEXTS, VALUES))
def test_encoded_yaml_decodes_to_the_same_object(item: dict[str, Any]) -> None:
    written = responses.encode(item)
    assert yaml.safe_load(written) == item
    assert yaml_bodies.of_yaml(written).object == item


@pytest.mark.parametrize("length", [80, 81, 5000])
def test_long_keys_are_supported(length: int) -> None:
    item = {"\U0001f600\x01" * length: [{"k" * length: {"a": 1}}]}
    assert yaml.safe_load(responses.encode(item)) == item


def test_the_layout_is_that_of_hand_written_yaml() -> None:
    item = {
        "kind": "List",
        "items": [{"metadata": {"name": "one", "labels": {}}, "list": [1, [True, None]]}, "2025-01-01T00:00:00Z"],
    }
    expected = """\
kind: List
items:
- metadata:
    name: one
    labels: {}
  list:
  - 1
  - - true
    - null
- "2025-01-01T00:00:00Z"
"""
    assert responses.encode(item).decode() == expected
