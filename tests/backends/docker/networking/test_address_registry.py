"""Which runtime has an address, and which one claimed it first."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from controller import errors
from controller.api import reasons
from controller.backends.base import Identity
from controller.backends.docker.networking.address_registry import AddressRegistry
from controller.backends.observation import ObservedInterface
from controller.network.arp.guard import AddressGuard
from controller.network.arp.listeners import Listeners
from controller.network.arp.probe import GuardedAddress, Probe
from tests.backends.docker.networking.interfaces import leased, static

FIRST, SECOND = Identity("install", "edge", "plc-1"), Identity("install", "edge", "plc-2")
NAMESAKE = Identity("install", "other", "plc-1")
HELD = ObservedInterface("lan0", "eth0", attached=True, address="10.1.0.10", mac_address="02:00:00:00:00:0a")


@pytest.fixture
def registry() -> AddressRegistry:
    """A registry that asks no LAN."""
    return AddressRegistry(AddressGuard(enabled=False))


async def test_an_address_in_use_is_free_for_its_holder_only(registry: AddressRegistry) -> None:
    registry.note(FIRST, [HELD])

    await registry.require_unclaimed(FIRST, [static()])
    with pytest.raises(errors.Waiting, match=r"plc-1 has the address 10\.1\.0\.10 on eth0") as conflict:
        registry.require_free(SECOND, [static()])

    assert conflict.value.reason == reasons.ADDRESS_CONFLICT
    registry.require_free(SECOND, [static("10.1.0.11"), static(parent="eth1"), leased()])


def test_an_address_is_free_when_its_holder_stops(registry: AddressRegistry) -> None:
    registry.note(FIRST, [HELD])
    registry.note(FIRST, [])

    registry.require_free(SECOND, [static()])


def test_the_first_of_two_claims_wins_until_it_is_dropped(registry: AddressRegistry) -> None:
    registry.claim(FIRST, [static()])
    registry.claim(SECOND, [static()])
    blocked = registry.claimed(SECOND, [static()])

    assert registry.claimed(FIRST, [static()]) is None
    assert blocked is not None
    assert blocked[0] == reasons.ADDRESS_CONFLICT

    registry.claim(FIRST, [])
    assert registry.claimed(SECOND, [static()]) is None


def test_a_running_container_outdoes_an_earlier_claim(registry: AddressRegistry) -> None:
    registry.claim(FIRST, [static()])
    registry.note(SECOND, [HELD])

    assert registry.claimed(SECOND, [static()]) is None
    assert registry.claimed(FIRST, [static()]) is not None


def test_a_namesake_is_reported_as_the_cause_of_a_conflict(registry: AddressRegistry) -> None:
    registry.claim(NAMESAKE, [static()])

    blocked = registry.claimed(FIRST, [static()])

    assert blocked is not None
    assert blocked[0] == reasons.NAME_TAKEN
    assert "namespace other" in blocked[1]


async def test_a_start_takes_the_answers_of_the_probe_that_was_begun_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = AddressGuard()
    monkeypatch.setattr(Listeners, "probe", lambda *_: True)
    registry = AddressRegistry(guard)
    registry.expect(FIRST, [static()])
    monkeypatch.setattr(guard, "begin_probe", _no_further_probe)

    await registry.require_unclaimed(FIRST, [static()])


async def test_a_start_probes_an_address_that_changed_or_was_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    guard = AddressGuard()
    registry = AddressRegistry(guard)
    for asked, expected in ((True, static("10.1.0.11")), (False, static())):
        monkeypatch.setattr(Listeners, "probe", lambda *_, asked=asked: asked)
        registry.expect(FIRST, [expected])
        monkeypatch.setattr(guard, "probe", _taken)

        with pytest.raises(errors.Waiting, match="02:cd"):
            await registry.require_unclaimed(FIRST, [static()])
    guard.close()


async def test_a_start_that_is_expected_again_is_probed_once() -> None:
    guard = AddressGuard()
    registry = AddressRegistry(guard)
    registry.expect(FIRST, [static()])
    (begun,) = guard._probes
    registry.expect(FIRST, [static()])
    assert set(guard._probes) == {begun}
    registry.expect(FIRST, [static("10.1.0.11")])
    assert begun not in guard._probes
    guard.close()


async def test_a_removed_runtime_ends_its_probe() -> None:
    guard = AddressGuard()
    registry = AddressRegistry(guard)
    registry.expect(FIRST, [static()])
    registry.forget(FIRST)

    assert guard._probed == set()


def _no_further_probe(wanted: Collection[GuardedAddress]) -> Probe:
    raise AssertionError(f"probes {wanted} once more")


async def _taken(wanted: Collection[GuardedAddress]) -> dict[GuardedAddress, str]:
    return dict.fromkeys(wanted, "02:cd:00:00:00:42")
