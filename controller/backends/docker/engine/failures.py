"""Maps an engine's refusals to outcomes and reasons.

Engines report most failures as status 500 with a text, so we match texts; those of 20.10 to 29 are in the tests.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from controller import errors
from controller.api import reasons


class Refusal(errors.EdgeError):
    """The engine refused a call; ``message`` is its error message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Meaning(NamedTuple):
    """The outcome for error messages of the engine that match a pattern."""

    pattern: str
    outcome: type[errors.ReconcileError]
    reason: str
    remedy: str


_PULL = (
    Meaning(
        r"toomanyrequests|too many requests|rate limit",
        errors.Retry,
        reasons.IMAGE_PULL_FAILED,
        "the registry limits the request rate; retrying",
    ),
    Meaning(
        r"pull access denied|unauthorized|no basic auth|authentication required|authorization failed|denied:"
        r"|insufficient_scope|40[13] ",
        errors.Stalled,
        reasons.IMAGE_REFUSED,
        "add or correct spec.imagePullSecrets, or the image's name",
    ),
    Meaning(
        r"manifest unknown|not found|no such image|name unknown|no matching manifest",
        errors.Stalled,
        reasons.IMAGE_NOT_FOUND,
        "correct spec.image or spec.version",
    ),
    Meaning(r"invalid reference", errors.Stalled, reasons.SPEC_IMPOSSIBLE, "correct spec.image or spec.version"),
)
_ANY = (
    Meaning(r"no space left on device|disk quota exceeded", errors.Retry, reasons.DISK_FULL, "free space on the disk"),
    Meaning(
        r"requested parent interface .* was not found|invalid subinterface vlan name",
        errors.Waiting,
        reasons.PARENT_MISSING,
        "continues when the interface is back",
    ),
    Meaning(r"address already in use", errors.Waiting, reasons.ADDRESS_CONFLICT, "free the address or set another one"),
    Meaning(
        r"pool overlaps", errors.Stalled, reasons.POOL_OVERLAP, "remove the Docker network that overlaps the subnet"
    ),
    Meaning(
        r"could not find an available, non-overlapping",
        errors.Stalled,
        reasons.POOL_EXHAUSTED,
        "enlarge EDGE_INTERNAL_POOL",
    ),
    Meaning(
        r"name .* is already in use|network with name .* already exists",
        errors.Stalled,
        reasons.NAME_TAKEN,
        "rename or remove the object with this name",
    ),
    Meaning(r"no such image", errors.Stalled, reasons.IMAGE_NOT_FOUND, "correct spec.image or spec.version"),
    Meaning(
        r"does not belong to any of this network's subnets|invalid address|minimum memory limit|range of cpus"
        r"|executable file not found|no command specified|exec format error|cannot unmarshal number",
        errors.Stalled,
        reasons.SPEC_IMPOSSIBLE,
        "correct the spec",
    ),
)
_PULL_OTHERWISE = Meaning("", errors.Retry, reasons.IMAGE_PULL_FAILED, "retrying the pull")
_OTHERWISE = Meaning("", errors.Retry, reasons.STEP_FAILED, "retrying")


def outcome(refusal: Refusal, *, pulling: str = "") -> errors.ReconcileError:
    """The outcome of a reconciliation in which the engine refused a call.

    ``pulling`` is the reference of the image being pulled: some messages have a specific meaning during a pull.
    """
    rows = (_ANY[0], *_PULL, *_ANY[1:]) if pulling else _ANY
    otherwise = _PULL_OTHERWISE if pulling else _OTHERWISE
    found = next((row for row in rows if re.search(row.pattern, refusal.message, re.IGNORECASE)), otherwise)
    if found is _OTHERWISE and refusal.status == 400:
        found = Meaning("", errors.Stalled, reasons.SPEC_IMPOSSIBLE, "correct the spec")
    what = f"{pulling}: " if pulling else ""
    return found.outcome(found.reason, f"{what}Docker said: {_shortened(refusal.message)}; {found.remedy}")


def is_realtime_refusal(refusal: Refusal) -> bool:
    """Whether a start failed because the host does not support realtime limits or the capability for them."""
    return bool(re.search(r"error setting rlimit|unable to apply caps|cap_sys_nice", refusal.message, re.IGNORECASE))


def is_lingering_link(refusal: Refusal) -> bool:
    """Whether a start found a link with its MAC address, which the kernel may still be removing."""
    return bool(
        re.search(r"failed to add interface.*address already in use", refusal.message, re.IGNORECASE | re.DOTALL)
    )


def is_lost_network(refusal: Refusal) -> bool:
    """Whether a network of the container was removed."""
    return bool(re.search(r"network .* not found|could not find a network", refusal.message, re.IGNORECASE))


def lost_network(refusal: Refusal) -> str:
    """The id of the removed network, "" when the message contains none."""
    found = re.search(r"\b[0-9a-f]{64}\b", refusal.message) if is_lost_network(refusal) else None
    return found[0] if found else ""


def is_overlap(refusal: Refusal) -> bool:
    """Whether another network uses the subnet."""
    return "overlaps" in refusal.message.lower()


def _shortened(message: str) -> str:
    return " ".join(message.split())[:400]
