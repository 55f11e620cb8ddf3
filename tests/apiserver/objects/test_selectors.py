"""Selectors: any text is parsed or refused in linear time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver.objects import selectors
from controller.apiserver.objects.selectors import SelectorError

ITEM: dict[str, Any] = {"metadata": {"name": "a", "labels": {"a": "b", "n": "7"}}}
SUPPORTED = {"metadata.name": lambda item: str(item["metadata"]["name"])}
SIGNS = ["a", "n", "b", "in", "notin", "!", "=", "==", "!=", "(", ")", ",", "<", ">", " ", "7", "-", "²", "\x00", "x/y"]
LABELS = st.lists(st.sampled_from(SIGNS), max_size=12).map("".join)
FIELDS = st.lists(st.sampled_from(["metadata.name", "=", "!=", ",", "\\", "a", "\n", " "]), max_size=10).map("".join)
LINE = 32 << 10  # longest URL in characters


@given(text=LABELS | st.text(max_size=20))
def test_any_text_is_parsed_as_label_selector_or_refused(text: str) -> None:
    try:
        matches = selectors.labels(text)
    except SelectorError:
        return
    assert matches(ITEM) in (True, False)
    assert matches({"metadata": {"labels": None}}) in (True, False)


@given(text=FIELDS | st.text(max_size=20))
def test_any_text_is_parsed_as_field_selector_or_refused(text: str) -> None:
    try:
        matches = selectors.fields(text, SUPPORTED)
    except SelectorError:
        return
    assert matches(ITEM) in (True, False)


@given(value=st.text(max_size=10))
def test_an_escaped_value_matches_itself(value: str) -> None:
    escaped = "".join(f"\\{char}" if char in "\\,=" else char for char in value)
    assert selectors.fields(f"metadata.name={escaped}", SUPPORTED)({"metadata": {"name": value}})


@pytest.mark.parametrize("text", ["metadata.name=a\\", "metadata.name=\\a", "metadata.name=a,metadata.name=b\\"])
def test_an_invalid_escape_is_refused(text: str) -> None:
    with pytest.raises(SelectorError, match="invalid escape sequence"):
        selectors.fields(text, SUPPORTED)


def test_the_values_that_a_field_selector_requires_are_known() -> None:
    assert selectors.equalities(r"a=1, b==x\,y,c!=3") == {"a": "1", "b": "x,y"}


def test_the_number_of_requirements_is_limited() -> None:
    for text in (",".join(["!x"] * selectors.REQUIREMENTS), "a" + " " * LINE, " " * LINE):
        assert selectors.labels(text)(ITEM)
    with pytest.raises(SelectorError, match="requirements"):
        selectors.labels(",".join(["!x"] * (selectors.REQUIREMENTS + 1)))
    for text in (",".join(["metadata.name=a"] * (selectors.REQUIREMENTS + 1)), "a" * LINE + "\\"):
        with pytest.raises(SelectorError):
            selectors.fields(text, SUPPORTED)
