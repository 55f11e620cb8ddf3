"""What the messages of engines, kubelets and registries mean: tables of patterns, of which the first match counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from controller import errors
from controller.api import reasons

CHECK_SECRETS = "add or correct spec.imagePullSecrets, or the image's name"
CHECK_IMAGE = "correct spec.image or spec.version"
_LONGEST = 400  # characters of a message that a condition shows

Kind = Literal["waiting", "retry", "stalled"]
_ERRORS: dict[Kind, type[errors.ReconcileError]] = {
    "waiting": errors.Waiting,
    "retry": errors.Retry,
    "stalled": errors.Stalled,
}


class Meaning(NamedTuple):
    """The reason for messages that match a pattern, in any case, and the remedy; the reason decides the outcome."""

    pattern: str
    reason: str
    remedy: str

    @property
    def kind(self) -> Kind:
        """The outcome of a reconciliation for this reason. Raises ValueError for a reason that ends none."""
        match reasons.outcome(self.reason):
            case "waiting" | "retry" | "stalled" as kind:
                return kind
            case other:
                raise ValueError(f"{self.reason} is the reason of a {other}")

    def error(self, message: str) -> errors.ReconcileError:
        """The error that ends a reconciliation with this message."""
        return _ERRORS[self.kind](self.reason, message)


# Texts of registries, which engines and kubelets pass on.
PULLS = (
    Meaning(
        r"toomanyrequests|too many requests|rate limit",
        reasons.IMAGE_PULL_FAILED,
        "the registry limits the request rate; retrying",
    ),
    Meaning(
        r"pull access denied|unauthorized|no basic auth|authentication required|authorization failed|denied:"
        r"|insufficient_scope",
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
