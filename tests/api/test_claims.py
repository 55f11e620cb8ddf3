"""Which of several Runtimes owns a deviceId, and the warnings for the client that writes one."""

from __future__ import annotations

from typing import Any

import pytest

from controller import names
from controller.api import claims


def runtime(name: str, namespace: str = "edge", *, claimed: bool = False, **metadata: Any) -> dict[str, Any]:
    """A Runtime of device plc-1 whose uid is its name."""
    claim = {"annotations": {names.CLAIM: name}} if claimed else {}
    fields = {"name": name, "namespace": namespace, "uid": name, **claim, **metadata}
    return {"metadata": fields, "spec": {"deviceId": "plc-1"}}


DELETING: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
OWNER = runtime("b", claimed=True)
WITH_CONTAINER = {**OWNER, "status": {"containerId": "c1"}}


@pytest.mark.parametrize(
    ("runtimes", "owner"),
    [
        ([runtime("a"), OWNER], "b"),
        ([runtime("a"), runtime("c")], None),
        ([runtime("a", annotations={names.CLAIM: "b"})], None),
        ([runtime("a", claimed=True), OWNER], "a"),
        ([runtime("a", claimed=True), WITH_CONTAINER], "b"),
        ([runtime("a", claimed=True, **DELETING), OWNER], "b"),
        ([runtime("a", claimed=True, **DELETING)], "a"),
    ],
    ids=[
        "one claim",
        "no claim",
        "a copied claim",
        "two claims",
        "two, one with a container",
        "one deleting",
        "all deleting",
    ],
)
def test_every_process_picks_the_same_owner(runtimes: list[dict[str, Any]], owner: str | None) -> None:
    for order in (runtimes, runtimes[::-1]):
        found = claims.owner(order)
        assert (found and found["metadata"]["name"]) == owner


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], []),
        ([{**runtime("z"), "spec": {"deviceId": "plc-2"}}], []),
        ([runtime("z")], ["Runtime z already has deviceId plc-1"]),
        ([runtime("z"), OWNER], ["Runtime b already has deviceId plc-1"]),
        ([runtime("z", **DELETING)], []),
        ([runtime("z", "other")], ["Runtime other/z also has deviceId plc-1"]),
    ],
    ids=["alone", "another device", "another Runtime", "the owner", "deleting", "another namespace"],
)
def test_writing_a_runtime_warns_about_others_with_its_device_id(
    others: list[dict[str, Any]], expected: list[str]
) -> None:
    written = runtime("a")
    found = claims.warnings(written, [written, *others])
    assert [text.partition(":")[0] for text in found] == expected


def test_the_owner_gets_no_warning_about_waiting_runtimes() -> None:
    assert claims.warnings(OWNER, [OWNER, runtime("a")]) == []


def test_the_warnings_are_bounded() -> None:
    crowd = [runtime(f"r{number}", f"n{number}") for number in range(100)]
    assert len(claims.warnings(OWNER, crowd)) == claims.WARNING_LIMIT
