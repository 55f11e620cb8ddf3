"""Readable names: short, valid, and different for different texts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api import fields
from controller.machinery import object_names


@pytest.mark.parametrize(
    ("text", "limit", "prefix", "name"),
    [
        ("PLC_1", 63, "", "plc-1-"),
        ("plc.1", 63, "", "plc-1-"),
        ("_", 63, "", ""),
        ("x" * 100, 63, "", f"{'x' * 54}-"),
        (f"{'x' * 53}_y", 63, "", f"{'x' * 53}-"),
        ("1plc", 50, "runtime", "runtime-1plc-"),
        ("plc", 50, "runtime", "plc-"),
        ("1" * 100, 50, "runtime", f"runtime-{'1' * 33}-"),
    ],
)
def test_a_readable_name_resembles_the_text_and_ends_with_its_hash(
    text: str, limit: int, prefix: str, name: str
) -> None:
    assert object_names.readable(text, limit, prefix) == f"{name}{object_names.digest(text)}"


@given(text=st.text(max_size=200), limit=st.integers(20, 63))
def test_a_readable_name_is_a_dns_label(text: str, limit: int) -> None:
    name = object_names.readable(text, limit)
    assert re.fullmatch(fields.DNS_LABEL, name)
    assert len(name) <= limit


def test_the_names_of_existing_objects_do_not_change() -> None:
    assert object_names.readable("PLC_1", 63) == "plc-1-11bfa834"
