"""A Runtime in a namespace that is not served has no effect; one that ran before is kept as it is."""

from __future__ import annotations

import pytest

from controller.api import kinds, reasons
from controller.api.served_namespaces import EVERYWHERE, ServedNamespaces
from controller.runtimes.admission import Admission, Admitted
from controller.runtimes.keys import KeyIndex
from controller.runtimes.owners import Owners
from controller.runtimes.scope import Scope
from controller.runtimes.turns import Turns
from tests.runtimes.harness import KEY, LAN, SPEC, Harness

ELSEWHERE = ServedNamespaces(frozenset(("elsewhere",)))


@pytest.fixture
async def excluded(harness: Harness) -> Harness:
    """A Runtime that ran before the settings excluded its namespace."""
    await harness.create()
    while not (await harness.reconcile()).settled:
        pass
    harness.namespaces = ELSEWHERE
    harness.restart_controller()
    return harness


def is_refused(harness: Harness) -> bool:
    summary = harness.summary()
    stalled = harness.condition("Stalled")
    return (summary["Ready"], summary["Stalled"]) == ("False", "True") and (
        stalled["reason"] == reasons.NAMESPACE_NOT_SERVED and "furtherNamespaces" in stalled["message"]
    )


async def test_nothing_is_created_or_observed_there(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.namespaces = ELSEWHERE
    harness.restart_controller()
    await harness.create()
    # An observation notes the addresses of the spec, which could keep another runtime from its own.
    monkeypatch.delattr(type(harness.backend), "observe")
    await harness.reconcile()
    assert is_refused(harness)
    assert harness.backend.effects == []
    assert harness.index.all() == []
    assert ("Warning", reasons.NAMESPACE_NOT_SERVED) in await harness.events()


async def test_its_deletion_ends(harness: Harness) -> None:
    harness.namespaces = ELSEWHERE
    harness.restart_controller()
    await harness.create()
    await harness.reconcile()
    await harness.delete()
    assert (await harness.reconcile()).settled


async def test_it_runs_once_its_namespace_is_served(harness: Harness) -> None:
    harness.namespaces = ELSEWHERE
    harness.restart_controller()
    await harness.create()
    await harness.reconcile()
    harness.namespaces = EVERYWHERE
    harness.restart_controller()
    await harness.reconcile()
    assert harness.condition("Ready")["status"] == "True"
    assert harness.condition("Stalled")["status"] == "False"


async def test_what_ran_before_is_kept_and_repaired(excluded: Harness) -> None:
    started = excluded.backend.only().started_at
    excluded.backend.only().attached.clear()
    await excluded.reconcile()
    assert is_refused(excluded)
    assert set(excluded.backend.only().attached) == {"lan0"}
    assert excluded.backend.only().started_at == started
    excluded.backend.containers.clear()
    await excluded.reconcile()
    assert excluded.backend.only().state == "running"


async def test_a_change_of_what_ran_before_has_no_effect(excluded: Harness) -> None:
    await excluded.reconcile()
    before = list(excluded.backend.effects)
    lan = {**LAN, "parentInterface": "eth1"}
    await excluded.change(version="2", interfaces=[lan], dedicatedInterface="eth2", desiredState="Stopped")
    await excluded.reconcile()
    assert is_refused(excluded)
    assert excluded.backend.effects == before
    assert excluded.backend.only().state == "running"


async def test_it_keeps_nobody_from_a_dedicated_interface(harness: Harness) -> None:
    other = {"metadata": {"name": "plc-2", "namespace": "dev"}, "spec": {**SPEC, "deviceId": "plc-2"}}
    await harness.api.create(kinds.RUNTIMES, other)
    await harness.create(interfaces=[], dedicatedInterface="eth0")
    scope = Scope("Docker", "node-1", namespaces=ServedNamespaces(frozenset((KEY.namespace,))))
    owners = Owners(harness.api, harness.backend, "install", KeyIndex(), scope, Turns(1))
    admitted = await Admission(harness.api, owners, scope, "node-1").admit(KEY, lambda _: None)
    assert isinstance(admitted, Admitted)
    assert admitted.rival == ""
