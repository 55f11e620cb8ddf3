"""Messages get a reason, and the reason decides the outcome."""

from __future__ import annotations

import pytest

from controller.api import reasons
from controller.backends import meanings
from controller.backends.meanings import PULLS, Meaning

FALLBACK = Meaning("", reasons.STEP_FAILED, "retrying")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("toomanyrequests: You have reached your pull rate limit", reasons.IMAGE_PULL_FAILED),
        ("Pull access DENIED for plc, repository does not exist", reasons.IMAGE_REFUSED),
        ("unexpected status from HEAD request to https://registry/v2/plc: 403 Forbidden", reasons.IMAGE_REFUSED),
        ("manifest unknown: manifest unknown", reasons.IMAGE_NOT_FOUND),
        ("connection reset by peer", reasons.STEP_FAILED),
    ],
)
def test_the_first_matching_row_counts(text: str, reason: str) -> None:
    assert meanings.find(PULLS, text, FALLBACK).reason == reason


def test_a_message_is_one_short_line() -> None:
    assert meanings.shortened(" a\n  b ") == "a b"
    assert len(meanings.shortened("x " * 5000)) == 400
