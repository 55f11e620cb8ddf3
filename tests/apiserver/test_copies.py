"""Copies of JSON values."""

from __future__ import annotations

from typing import Any

from controller.apiserver.copies import copied


def test_a_change_of_the_copy_leaves_the_original_alone() -> None:
    original: dict[str, Any] = {"list": [{"a": 1}], "object": {"b": [2]}}
    copy = copied(original)
    assert copy == original
    copy["list"][0]["a"] = copy["object"]["b"][0] = None
    assert original == {"list": [{"a": 1}], "object": {"b": [2]}}


def test_places_that_share_a_value_share_nothing_in_the_copy() -> None:
    shared: list[int] = []
    copy = copied({"one": shared, "two": shared})
    copy["one"].append(1)
    assert copy == {"one": [1], "two": []}
