"""Which of several Runtimes with one deviceId in a namespace owns the container: pure, from their objects alone.

The owner carries its own uid in an annotation. A copied manifest carries somebody else's, which claims nothing, and
no time is compared: clocks differ between nodes, and the older object need not be the one that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from controller import names

Runtime = Mapping[str, Any]  # as the API sends it
R = TypeVar("R", bound=Runtime)

ADVICE_LIMIT = 5  # warnings, each a header of the answer


def holds(runtime: Runtime) -> bool:
    """Whether it has claimed its deviceId."""
    found = runtime["metadata"].get("annotations") or {}
    return bool(found.get(names.CLAIM) == runtime["metadata"]["uid"])


def is_deleting(runtime: Runtime) -> bool:
    """Whether its deletion was asked for."""
    return bool(runtime["metadata"].get("deletionTimestamp"))


def has_container(runtime: Runtime) -> bool:
    """Whether its status knows of a container."""
    return bool((runtime.get("status") or {}).get("containerId"))


def holder(runtimes: Iterable[R]) -> R | None:
    """The one that has claimed the deviceId they share, None when none has.

    Two claims can only be left by a crash or by hand; every process that looks then prefers the same one.
    """
    claimed = [runtime for runtime in runtimes if holds(runtime)]
    return min(claimed, key=_rank, default=None)


def owners(runtimes: Sequence[R]) -> list[R]:
    """Of Runtimes with one deviceId the owner in each namespace, or all of a namespace where none has claimed it."""
    namespaces = dict.fromkeys(runtime["metadata"]["namespace"] for runtime in runtimes)
    found: list[R] = []
    for namespace in namespaces:
        there = [runtime for runtime in runtimes if runtime["metadata"]["namespace"] == namespace]
        owner = holder(there)
        found += there if owner is None else [owner]
    return found


def advice(runtime: Runtime, everything: Iterable[Runtime]) -> list[str]:
    """What the writer of a Runtime should know of others that have its deviceId."""
    others = [one for one in everything if _shares(one, runtime) and not is_deleting(one)]
    namespace, device_id = runtime["metadata"]["namespace"], runtime["spec"]["deviceId"]
    beside = [other for other in others if other["metadata"]["namespace"] == namespace]
    owner = holder([runtime, *beside]) or next(iter(beside), runtime)
    found = []
    if owner["metadata"]["uid"] != runtime["metadata"]["uid"]:
        name = owner["metadata"]["name"]
        found.append(
            f"Runtime {name} has deviceId {device_id} already: this one waits, and takes over its container when "
            f"{name} is deleted"
        )
    for other in (other for other in others if other not in beside):
        full = f"{other['metadata']['namespace']}/{other['metadata']['name']}"
        found.append(f"Runtime {full} has deviceId {device_id} too: a host runs one container of a name only")
    return found[:ADVICE_LIMIT]


def _shares(other: Runtime, runtime: Runtime) -> bool:
    if other["metadata"]["uid"] == runtime["metadata"]["uid"]:
        return False
    return bool(other.get("spec", {}).get("deviceId") == runtime["spec"]["deviceId"])


def _rank(runtime: Runtime) -> tuple[bool, bool, str]:
    return is_deleting(runtime), not has_container(runtime), runtime["metadata"]["uid"]
