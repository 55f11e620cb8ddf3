"""Interfaces that runtimes stand on, and VLANs made for them.

Not every kernel has VLANs: what is made here is a macvlan of the same name, but for the test of the kernel itself.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import errors
from controller.api import reasons
from controller.network import interfaces, parents
from controller.network.parents import Parents, Vlan
from tests.support.command import run
from tests.support.lan import Lan


@pytest.fixture
def lan(docker_machine: None) -> Iterator[Lan]:
    with Lan() as made:
        yield made


@pytest.fixture
def ours() -> Parents:
    """Of an installation of the test's own."""
    return Parents(uuid.uuid4().hex[:8], lambda _: "macvlan mode bridge")


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
def test_a_name_tells_the_vlan(name: str, found: Vlan | None) -> None:
    assert parents.vlan(name) == found


def test_a_vlan_needs_what_it_stands_on() -> None:
    assert parents.with_lower(["eth1", "eth0.10"]) == {"eth1", "eth0.10", "eth0"}


async def test_a_vlan_is_made_once_is_up_and_goes_when_nobody_needs_it(ours: Parents, lan: Lan) -> None:
    name = f"{lan.parent}.10"
    ours.note("plc-1", [name])

    await ours.provide([name])
    number = interfaces.index(name)
    await ours.provide([name])

    assert number
    assert ours.numbers([name]) == {name: number}
    assert (await asyncio.to_thread(interfaces.state, name)).up
    assert await ours.remove_unused() == []
    ours.note("plc-1", ())
    assert await ours.remove_unused({name}) == []
    assert await ours.remove_unused() == [name]
    assert not interfaces.index(name)


async def test_an_interface_that_others_made_is_used_and_left_alone(ours: Parents, lan: Lan) -> None:
    name, other = f"{lan.parent}.10", Parents("another", lambda _: "macvlan mode bridge")
    await other.provide([name])

    await ours.provide([name])

    assert await ours.ours() == []
    assert await ours.remove_unused() == []
    assert await other.remove_unused() == [name]


async def test_what_is_missing_is_told_unless_it_can_be_made(ours: Parents, lan: Lan) -> None:
    makeable, names = f"{lan.parent}.10", ["nosuch0", "nosuch0.10", lan.parent]

    assert ours.lacking([*names, makeable]) == ("nosuch0", "nosuch0.10")
    await ours.provide(names)
    assert ours.numbers([makeable]) == {makeable: 0}


async def test_a_kernel_makes_the_vlan_or_the_remedy_is_told(lan: Lan) -> None:
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


async def test_another_failure_is_told_in_the_words_of_the_system(lan: Lan) -> None:
    broken = Parents("broken", lambda _: "macvlan mode nonsense")
    with pytest.raises(errors.Retry, match="ip said"):
        await broken.provide([f"{lan.parent}.10"])


def test_nothing_of_the_host_is_ours_by_default(ours: Parents, tmp_path: Path) -> None:
    alias = tmp_path / "eth0" / "ifalias"
    alias.parent.mkdir()
    alias.write_text("the plant's uplink\n")
    assert Parents("x", sys_class_net=tmp_path)._marked() == []
