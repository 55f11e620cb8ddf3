"""Decide which of several Runtimes with the same deviceId in a namespace owns the container, from the objects alone.

The owner carries its own uid in an annotation. A copied manifest carries another object's uid, which claims nothing.
Timestamps are not compared: clocks differ between nodes, and the older object need not be the one that is running.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from controller import names

Runtime = Mapping[str, Any]  # as the API sends it
R = TypeVar("R", bound=Runtime)

WARNING_LIMIT = 5  # each warning is a header of the response
ANNOTATIONS_BYTES = 256 << 10  # of all keys and values (apimachinery: TotalAnnotationSizeLimitB)


def has_claim(runtime: Runtime) -> bool:
    """Whether the Runtime has claimed its deviceId."""
    annotations = runtime["metadata"].get("annotations") or {}
    return bool(annotations.get(names.CLAIM) == runtime["metadata"]["uid"])


def has_room(annotations: Mapping[str, str], uid: str) -> bool:
    """Whether there is room for a claim beside these annotations; kubectl apply keeps a copy of the manifest there."""
    claimed = {**annotations, names.CLAIM: uid}
    return sum(len(key.encode()) + len(value.encode()) for key, value in claimed.items()) <= ANNOTATIONS_BYTES


def is_deleting(runtime: Runtime) -> bool:
    """Whether the Runtime is being deleted."""
    return bool(runtime["metadata"].get("deletionTimestamp"))


def has_container(runtime: Runtime) -> bool:
    """Whether the status of the Runtime names a container."""
    return bool((runtime.get("status") or {}).get("containerId"))


def owner(runtimes: Iterable[R]) -> R | None:
    """Return the Runtime that has claimed the shared deviceId, or None.

    Only a crash or a manual edit can leave two claims; then every process picks the same Runtime.
    """
    claimed = [runtime for runtime in runtimes if has_claim(runtime)]
    return min(claimed, key=_rank, default=None)


def owners(runtimes: Sequence[R]) -> list[R]:
    """Return each namespace's owner of one deviceId, or all its Runtimes if none has claimed it."""
    namespaces = dict.fromkeys(runtime["metadata"]["namespace"] for runtime in runtimes)
    found: list[R] = []
    for namespace in namespaces:
        candidates = [runtime for runtime in runtimes if runtime["metadata"]["namespace"] == namespace]
        claimant = owner(candidates)
        found += candidates if claimant is None else [claimant]
    return found


def warnings(runtime: Runtime, everything: Iterable[Runtime]) -> list[str]:
    """Return warnings about other Runtimes with the same deviceId, for the client that writes this Runtime."""
    others = [other for other in everything if _shares_device(other, runtime) and not is_deleting(other)]
    namespace, device_id = runtime["metadata"]["namespace"], runtime["spec"]["deviceId"]
    siblings = [other for other in others if other["metadata"]["namespace"] == namespace]
    # Without a claim yet, the existing Runtime is assumed to keep the container.
    winner = owner([runtime, *siblings]) or next(iter(siblings), runtime)
    found = []
    if winner["metadata"]["uid"] != runtime["metadata"]["uid"]:
        name = winner["metadata"]["name"]
        found.append(
            f"Runtime {name} already has deviceId {device_id}: this Runtime waits and takes over the container when "
            f"{name} is deleted"
        )
    for other in (other for other in others if other not in siblings):
        full = f"{other['metadata']['namespace']}/{other['metadata']['name']}"
        found.append(f"Runtime {full} also has deviceId {device_id}: a host can run only one container with this name")
    return found[:WARNING_LIMIT]


def _shares_device(other: Runtime, runtime: Runtime) -> bool:
    if other["metadata"]["uid"] == runtime["metadata"]["uid"]:
        return False
    return bool(other.get("spec", {}).get("deviceId") == runtime["spec"]["deviceId"])


def _rank(runtime: Runtime) -> tuple[bool, bool, str]:
    # One that is being deleted is the last choice: the container would go with it.
    return is_deleting(runtime), not has_container(runtime), runtime["metadata"]["uid"]
