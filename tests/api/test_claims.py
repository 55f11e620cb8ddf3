"""Which of several Runtimes owns a device, and what who writes one is told."""

from __future__ import annotations

from typing import Any

import pytest

from controller import names
from controller.api import claims


def runtime(name: str, namespace: str = "edge", *, claims_it: bool = False, **metadata: Any) -> dict[str, Any]:
    """A Runtime of device plc-1; its uid is its name."""
    claim = {"annotations": {names.CLAIM: name}} if claims_it else {}
    described = {"name": name, "namespace": namespace, "uid": name, **claim, **metadata}
    return {"metadata": described, "spec": {"deviceId": "plc-1"}}


DELETING: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
OWNER = runtime("b", claims_it=True)
WITH_CONTAINER = {**OWNER, "status": {"containerId": "c1"}}


@pytest.mark.parametrize(
    ("runtimes", "owner"),
    [
        ([runtime("a"), OWNER], "b"),
        ([runtime("a"), runtime("c")], None),
        ([runtime("a", annotations={names.CLAIM: "b"})], None),
        ([runtime("a", claims_it=True), OWNER], "a"),
        ([runtime("a", claims_it=True), WITH_CONTAINER], "b"),
        ([runtime("a", claims_it=True, **DELETING), OWNER], "b"),
        ([runtime("a", claims_it=True, **DELETING)], "a"),
    ],
    ids=["one claims", "none claims", "a copied claim", "two", "two, one with a container", "an heir", "in deletion"],
)
def test_every_process_sees_the_same_owner(runtimes: list[dict[str, Any]], owner: str | None) -> None:
    for order in (runtimes, runtimes[::-1]):
        found = claims.holder(order)
        assert (found and found["metadata"]["name"]) == owner


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([], []),
        ([{**runtime("z"), "spec": {"deviceId": "plc-2"}}], []),
        ([runtime("z")], ["Runtime z has deviceId plc-1 already"]),
        ([runtime("z"), OWNER], ["Runtime b has deviceId plc-1 already"]),
        ([runtime("z", **DELETING)], []),
        ([runtime("z", "other")], ["Runtime other/z has deviceId plc-1 too"]),
    ],
    ids=["alone", "another device", "another Runtime", "the owner is named", "in deletion", "another namespace"],
)
def test_who_writes_a_runtime_is_told_of_others_with_its_device_id(
    others: list[dict[str, Any]], reported: list[str]
) -> None:
    written = runtime("a")
    found = claims.advice(written, [written, *others])
    assert [text.partition(":")[0] for text in found] == reported


def test_the_owner_is_not_told_of_those_that_wait() -> None:
    assert claims.advice(OWNER, [OWNER, runtime("a")]) == []


def test_the_warnings_are_bounded() -> None:
    crowd = [runtime(f"r{number}", f"n{number}") for number in range(100)]
    assert len(claims.advice(OWNER, crowd)) == claims.ADVICE_LIMIT
