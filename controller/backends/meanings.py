"""What the messages of engines, kubelets and registries mean: tables of patterns, of which the first match counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from controller.api import reasons

CHECK_SECRETS = "add or correct spec.imagePullSecrets, or the image's name"
CHECK_IMAGE = "correct spec.image or spec.version"
_LONGEST = 400  # characters of a message that a condition shows


class Meaning(NamedTuple):
    """The reason for messages that match a pattern, in any case, and the remedy; the reason decides the outcome."""

    pattern: str
    reason: str
    remedy: str


# Texts of registries, which engines and kubelets pass on.
PULLS = (
    Meaning(
        r"toomanyrequests|too many requests|rate limit",
        reasons.IMAGE_PULL_FAILED,
        "the registry limits the request rate; retrying",
    ),
    Meaning(
        r"pull access denied|unauthorized|no basic auth|authentication required|authorization failed|denied:"
        r"|insufficient_scope|\b403 forbidden",
        reasons.IMAGE_REFUSED,
        CHECK_SECRETS,
    ),
    Meaning(r"manifest unknown|no matching manifest|no match for platform", reasons.IMAGE_NOT_FOUND, CHECK_IMAGE),
)


def find(rows: Iterable[Meaning], text: str, otherwise: Meaning) -> Meaning:
    """The meaning of a message."""
    return next((row for row in rows if re.search(row.pattern, text, re.IGNORECASE)), otherwise)


def shortened(text: str) -> str:
    """A message in one line that fits into a condition."""
    return " ".join(text.split())[:_LONGEST]
