"""The dedicated interface: drift, its return to the host, and other Runtimes of the node that need it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api import kinds, reasons, runtimes
from controller.backends import base
from controller.backends.base import Step
from controller.backends.observation import Observed
from controller.machinery import model
from controller.runtimes.facets import dedicated_interface
from controller.runtimes.facets.facet import Drift
from tests.runtimes.harness import LAN, Harness
from tests.runtimes.plan_table import DEDICATED, EXITED, RUNNING, desired, seen

OLDER, OWN_AGE, YOUNGER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"
OWN = runtimes.Runtime(metadata=model.ObjectMeta(uid="b", creation_timestamp=OWN_AGE), spec=DEDICATED)


def body(uid: str, created: str, **spec: Any) -> dict[str, Any]:
    """A Runtime of the node."""
    return {"metadata": {"uid": uid, "creationTimestamp": created}, "spec": {"deviceId": f"plc-{uid}", **spec}}


def deleting(runtime: dict[str, Any]) -> dict[str, Any]:
    """The Runtime while it is being deleted."""
    return {**runtime, "metadata": {**runtime["metadata"], "deletionTimestamp": OWN_AGE}}


def removed(runtime: dict[str, Any]) -> dict[str, Any]:
    """The Runtime when nothing but its object is left."""
    condition = {"type": "Ready", "status": "False", "reason": reasons.DELETED}
    return {**deleting(runtime), "status": {"conditions": [condition]}}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (body("a", YOUNGER, interfaces=[{"parentInterface": "eth1"}]), "eth1 is a parent interface of plc-a"),
        (body("a", OLDER, interfaces=[{"parentInterface": "eth0"}]), ""),
        (body("a", OLDER, dedicatedInterface="eth1"), "eth1 belongs to plc-a, which is older"),
        (body("a", OWN_AGE, dedicatedInterface="eth1"), "eth1 belongs to plc-a, which is older"),
        (body("a", YOUNGER, dedicatedInterface="eth1"), ""),
        (body("a", OLDER, dedicatedInterface="eth1", desiredState="Stopped"), ""),
        (body("a", OLDER, dedicatedInterface="eth2"), ""),
        (body("b", OLDER, dedicatedInterface="eth1"), ""),
        (removed(body("a", YOUNGER, interfaces=[{"parentInterface": "eth1"}])), ""),
        (deleting(body("a", YOUNGER, interfaces=[{"parentInterface": "eth1"}])), "eth1 is a parent interface of plc-a"),
        ({**body("a", OLDER), "spec": {"deviceId": DEDICATED.device_id, "dedicatedInterface": "eth1"}}, ""),
    ],
)
def test_a_rival_for_the_dedicated_interface_is_named(other: dict[str, Any], message: str) -> None:
    assert dedicated_interface.rival(OWN, [other]).partition(":")[0] == message


async def test_the_backend_gets_the_rival(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    await harness.create(dedicatedInterface="eth0")  # its own parent, too
    seen: list[base.Target] = []
    observe = harness.backend.observe

    async def spy(target: base.Target) -> Observed:
        seen.append(target)
        return await observe(target)

    monkeypatch.setattr(harness.backend, "observe", spy)
    await harness.reconcile()
    assert seen[-1].rival == ""
    await harness.api.create(
        kinds.RUNTIMES,
        {
            "metadata": {"name": "plc-2", "namespace": "edge"},
            "spec": {
                "deviceId": "plc-2",
                "nodeName": "node-1",
                "image": "x",
                "interfaces": [LAN],
            },
        },
    )
    await harness.reconcile()
    assert seen[-1].rival.startswith("eth0 is a parent interface of plc-2")


BLOCKED = ((reasons.DEDICATED_REFUSED, "eth1 is Wi-Fi"),)


@pytest.mark.parametrize(
    ("observed", "drift", "repair"),
    [
        pytest.param(RUNNING, [], (), id="in order"),
        pytest.param(
            seen(fault="eth1 is not in the runtime"),
            [Drift("dedicated interface", "eth1 is not in the runtime")],
            (Step.REPAIR_NETWORKS,),
            id="not moved in",
        ),
        pytest.param(
            seen(fault="eth1 is Wi-Fi", start_blockers=BLOCKED),
            [Drift("dedicated interface", "eth1 is Wi-Fi", reasons.DEDICATED_REFUSED)],
            (),
            id="refused",
        ),
    ],
)
def test_drift_and_repair(observed: Observed, drift: list[Drift], repair: tuple[Step, ...]) -> None:
    assert dedicated_interface.drift(DEDICATED, observed) == drift
    assert dedicated_interface.repair(desired(DEDICATED), observed) == repair
    assert bool(dedicated_interface.preparation(desired(DEDICATED), observed)) is bool(drift)


def test_a_stopped_container_returns_the_interface() -> None:
    release = dedicated_interface.release(seen(EXITED, passed_through=True))
    assert release == (Step.REPAIR_NETWORKS, "Returning the dedicated interface to the host")
    assert dedicated_interface.release(EXITED) is None
