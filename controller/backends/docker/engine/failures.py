"""Maps an engine's refusals to outcomes and reasons.

Engines report most failures as status 500 with a text, so we match texts; those of 20.10 to 29 are in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from controller import errors
from controller.api import reasons
from controller.backends import meanings
from controller.backends.meanings import CHECK_IMAGE, CHECK_SECRETS, PULLS, Meaning


class Refusal(errors.EdgeError):
    """The engine refused a call; ``message`` is its error message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


_DISK_FULL = Meaning(r"no space left on device|disk quota exceeded", reasons.DISK_FULL, "free space on the disk")
_PULLS = (
    _DISK_FULL,
    *PULLS,
    Meaning(r"\b40[13] ", reasons.IMAGE_REFUSED, CHECK_SECRETS),
    Meaning(r"not found|no such image|name unknown", reasons.IMAGE_NOT_FOUND, CHECK_IMAGE),
    Meaning(r"invalid reference", reasons.SPEC_IMPOSSIBLE, CHECK_IMAGE),
)
# The first match counts. `address already in use` is also what a lingering link of the previous run causes; the
# start waits for that one (is_lingering_link) before its refusal gets here.
_ANY = (
    _DISK_FULL,
    Meaning(
        r"requested parent interface .* was not found|invalid subinterface vlan name",
        reasons.PARENT_MISSING,
        "continues when the interface is back",
    ),
    Meaning(r"address already in use", reasons.ADDRESS_CONFLICT, "free the address or set another one"),
    Meaning(r"pool overlaps", reasons.POOL_OVERLAP, "remove the Docker network that overlaps the subnet"),
    Meaning(r"could not find an available, non-overlapping", reasons.POOL_EXHAUSTED, "enlarge EDGE_INTERNAL_POOL"),
    Meaning(
        r"name .* is already in use|network with name .* already exists",
        reasons.NAME_TAKEN,
        "rename or remove the object with this name",
    ),
    Meaning(r"no such image", reasons.IMAGE_NOT_FOUND, CHECK_IMAGE),
    Meaning(
        r"does not belong to any of this network's subnets|invalid address|minimum memory limit|range of cpus"
        r"|executable file not found|no command specified|exec format error|cannot unmarshal number",
        reasons.SPEC_IMPOSSIBLE,
        "correct the spec",
    ),
)
_PULL_FAILED = Meaning("", reasons.IMAGE_PULL_FAILED, "retrying the pull")
_FAILED = Meaning("", reasons.STEP_FAILED, "retrying")
_MALFORMED = Meaning("", reasons.SPEC_IMPOSSIBLE, "correct the spec")
_NETWORK_OPTIONS = "default-network-opts in Docker's daemon.json"
_LAN_REFUSED = Meaning("", reasons.SPEC_IMPOSSIBLE, f"correct the spec or {_NETWORK_OPTIONS}")
_INTERNAL_REFUSED = Meaning("", reasons.STEP_FAILED, f"check {_NETWORK_OPTIONS}")


def outcome(refusal: Refusal, *, pulling: str = "") -> errors.ReconcileError:
    """The outcome of a reconciliation in which the engine refused a call.

    ``pulling`` is the reference of the image being pulled: some messages have a specific meaning during a pull.
    """
    said = f"Docker said: {meanings.shortened(refusal.message)}"
    if pulling:
        found = meanings.find((*_PULLS, *_ANY), refusal.message, _PULL_FAILED)
        return reasons.error(found.reason, f"{pulling}: {said}; {found.remedy}")
    # A request that the engine finds invalid stays invalid: only another spec helps, not a retry.
    found = meanings.find(_ANY, refusal.message, _MALFORMED if refusal.status == 400 else _FAILED)
    return reasons.error(found.reason, f"{said}; {found.remedy}")


def network_refused(refusal: Refusal, *, of_spec: bool) -> errors.ReconcileError:
    """The outcome when the engine finds our request for a network invalid.

    The engine adds the options of its configuration. ``of_spec``: the request also contains values of the spec.
    """
    found = meanings.find(_ANY, refusal.message, _LAN_REFUSED if of_spec else _INTERNAL_REFUSED)
    return reasons.error(found.reason, f"Docker said: {meanings.shortened(refusal.message)}; {found.remedy}")


@contextmanager
def translated() -> Iterator[None]:
    """Translate a refusal into the outcome of a reconciliation."""
    try:
        yield
    except Refusal as refusal:
        raise outcome(refusal) from refusal


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
