"""Parent interfaces of runtimes, and VLANs created for them.

Not every kernel supports VLANs, so except in the test of the kernel itself a macvlan of the same name stands in.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from controller import errors
from controller.api import reasons
from controller.network import host_links, interfaces, parents
from controller.network.link_changes import AddMacvlan, Change
from controller.network.parents import Parents, Vlan
from tests.support.command import run
from tests.support.lan import Lan


@pytest.fixture
def lan(docker_machine: None) -> Iterator[Lan]:
    with Lan() as made:
        yield made


def macvlan(wanted: Vlan, name: str) -> Change:
    """Creates the link that stands in for a VLAN."""
    return AddMacvlan(wanted.lower, name, "02:00:00:00:00:10")


@pytest.fixture
def own_parents() -> Parents:
    """The parents of the test's own installation."""
    return Parents(uuid.uuid4().hex[:8], macvlan)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("eth0.10", Vlan("eth0", 10)),
        ("br-plant.4094", Vlan("br-plant", 4094)),
        ("eth0.10.20", Vlan("eth0.10", 20)),
        ("eth0", None),
        ("eth0.", None),
        (".10", None),
        ("eth0.0", None),
        ("eth0.4095", None),
        ("eth0.010", None),
        ("eth0.a", None),
    ],
)
def test_vlan_names_are_parsed(name: str, found: Vlan | None) -> None:
    assert parents.vlan(name) == found


def test_a_vlan_needs_its_lower_interface() -> None:
    assert parents.with_lower_interfaces(["eth1", "eth0.10"]) == {"eth1", "eth0.10", "eth0"}


async def test_a_vlan_is_created_once_and_up_and_removed_when_unused(own_parents: Parents, lan: Lan) -> None:
    name = f"{lan.parent}.10"
    own_parents.note("plc-1", [name])

    await own_parents.provide([name])
    number = interfaces.index(name)
    await own_parents.provide([name])

    assert number
    assert own_parents.numbers([name]) == {name: number}
    assert (await asyncio.to_thread(interfaces.state, name)).up
    assert await own_parents.remove_unused() == []
    own_parents.note("plc-1", ())
    assert await own_parents.remove_unused({name}) == []
    assert await own_parents.remove_unused() == [name]
    assert not interfaces.index(name)


async def test_a_foreign_interface_is_used_but_never_removed(own_parents: Parents, lan: Lan) -> None:
    name, other = f"{lan.parent}.10", Parents("another", macvlan)
    await other.provide([name])

    await own_parents.provide([name])

    assert await own_parents.ours() == []
    assert await own_parents.remove_unused() == []
    assert await other.remove_unused() == [name]


async def test_missing_interfaces_are_those_that_cannot_be_created(own_parents: Parents, lan: Lan) -> None:
    makeable, names = f"{lan.parent}.10", ["nosuch0", "nosuch0.10", lan.parent]

    assert own_parents.unavailable([*names, makeable]) == ("nosuch0", "nosuch0.10")
    await own_parents.provide(names)
    assert own_parents.numbers([makeable]) == {makeable: 0}


async def test_the_kernel_creates_the_vlan_or_the_error_names_the_remedy(lan: Lan) -> None:
    real, name = Parents(uuid.uuid4().hex[:8]), f"{lan.parent}.10"
    able = run("ip", "link", "add", "link", lan.parent, "name", "probe.7", "type", "vlan", "id", "7", check=False)
    run("ip", "link", "delete", "probe.7", check=False)
    refused = None

    try:
        await real.provide([name])
    except errors.Stalled as error:
        refused = error
    kind = interfaces.kind_of(name)
    removed = await real.remove_unused()

    if able.returncode == 0:
        assert (refused, kind, removed) == (None, "vlan", [name])
    else:
        assert refused is not None
        assert refused.reason == reasons.VLAN_UNSUPPORTED
        assert "modprobe 8021q" in str(refused)


async def test_other_failures_carry_the_kernels_words(lan: Lan) -> None:
    broken = Parents("broken", lambda wanted, name: AddMacvlan(wanted.lower, name, "01:00:00:00:00:10"))
    with pytest.raises(errors.Retry, match=r"network of the host: ip link add .*: Cannot assign requested address"):
        await broken.provide([f"{lan.parent}.10"])


def test_unmarked_interfaces_are_not_ours(own_parents: Parents, tmp_path: Path) -> None:
    alias = tmp_path / "eth0" / "ifalias"
    alias.parent.mkdir()
    alias.write_text("the plant's uplink\n")
    assert Parents("x", sys_class_net=tmp_path)._marked() == []


@pytest.fixture
async def interrupted(own_parents: Parents, lan: Lan, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a VLAN whose creation a crash interrupted after its first change."""
    name, apply, done = f"{lan.parent}.10", host_links.apply, 0

    async def crashing(changes: Sequence[Change]) -> None:
        nonlocal done
        done += 1
        if done > 1:
            raise asyncio.CancelledError
        await apply(changes)

    with monkeypatch.context() as patched:
        patched.setattr(host_links, "apply", crashing)
        with pytest.raises(asyncio.CancelledError):
            await own_parents.provide([name])
    return name


async def test_a_vlan_is_created_and_marked_after_a_crash_during_its_creation(
    own_parents: Parents, interrupted: str
) -> None:
    await own_parents.provide([interrupted])
    assert await own_parents.ours() == [interrupted]
    assert await own_parents.remove_unused() == [interrupted]


async def test_what_a_crash_left_of_an_unused_vlan_is_removed(own_parents: Parents, interrupted: str) -> None:
    assert not interfaces.index(interrupted)
    assert len(await own_parents.remove_unused()) == 1
    assert await own_parents.ours() == []
