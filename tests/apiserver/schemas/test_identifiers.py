"""Names, label keys and label values."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from controller.apiserver.schemas import identifiers


@pytest.mark.parametrize(
    ("validate", "text", "faults"),
    [
        (identifiers.subdomain, "a.b-c.1", 0), (identifiers.subdomain, "a_b", 1), (identifiers.subdomain, "", 1),
        (identifiers.subdomain, "a" * 254, 1), (identifiers.subdomain, "a\n", 1), (identifiers.subdomain, "é" * 127, 2),
        (identifiers.dns_label, "a-1", 0), (identifiers.dns_label, "a.b", 1), (identifiers.dns_label, "a" * 64, 1),
        (identifiers.path_segment, "A b", 0), (identifiers.path_segment, "..", 1), (identifiers.path_segment, "a/%", 2),
        (identifiers.label_key, "a.b/C_d", 0), (identifiers.label_key, "/a", 1), (identifiers.label_key, "a/", 2),
        (identifiers.label_key, "a/b/c", 1), (identifiers.label_key, "", 2), (identifiers.label_key, "a" * 64, 1),
        (identifiers.label_value, "", 0), (identifiers.label_value, "A.b", 0), (identifiers.label_value, "-a", 1),
        (identifiers.label_value, "é" * 32, 2),
    ],
)  # fmt: skip
def test_faults(validate: Callable[[str], list[str]], text: str, faults: int) -> None:
    assert len(validate(text)) == faults


def test_lengths_are_in_bytes() -> None:
    assert [identifiers.size(text) for text in ("a", "é", "\ud800")] == [1, 2, 3]
