"""After any disturbance of a parent interface, its runtimes have their addresses again without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address
from typing import Any, NamedTuple

import pytest

from tests.support.command import run
from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]

NAMES = ("plc-1", "plc-2", "plc-3")
HOSTS = range(60, 64)  # the third has two


class Disturbance(NamedTuple):
    """A disturbance of the parent, its reversal, and the reason that is reported meanwhile; "" for none."""

    cause: Callable[[Lan], None]
    repair: Callable[[Lan], None]
    reason: str


def readdress(lan: Lan) -> None:
    """Give the parent an address of another subnet and another gateway."""
    other = IPv4Address(lan.gateway) + (1 << 8)
    run("ip", "addr", "add", f"{other + 4}/24", "dev", lan.parent)
    run("ip", "route", "add", f"{other + 256}/32", "via", str(other), "dev", lan.parent)


DISTURBANCES = {
    "down and up": Disturbance(
        lambda lan: lan.set_up(up=False), lambda lan: lan.set_up(up=True), "ParentInterfaceDown"
    ),
    "the cable pulled and plugged": Disturbance(
        lambda lan: lan.set_carrier(up=False), lambda lan: lan.set_carrier(up=True), "ParentInterfaceDown"
    ),
    "gone and back": Disturbance(Lan.unplug, Lan.plug, "ParentInterfaceMissing"),
    "renamed and back": Disturbance(
        lambda lan: lan.rename(lan.parent, f"{lan.parent[:12]}-r"),
        lambda lan: lan.rename(f"{lan.parent[:12]}-r", lan.parent),
        "ParentInterfaceMissing",
    ),
    "another subnet and gateway": Disturbance(readdress, lambda lan: None, ""),
}


@pytest.fixture
async def macs(edge: EdgeHost, lan: Lan) -> dict[str, str | None]:
    """Create runtimes on the LAN and return their addresses with the MAC addresses that answer."""
    for name, host in zip(NAMES, HOSTS, strict=False):
        second = [interface(lan, HOSTS[-1], "cell")] if name == NAMES[-1] else []
        interfaces = [interface(lan, host, "lan0"), *second]
        await edge.send("create_new_runtime", container_name=name, vnic_configs=interfaces)
    for name in NAMES:
        await edge.wait_condition(name, "Ready")
    return await answering(lan)


def interface(lan: Lan, host: int, name: str) -> dict[str, Any]:
    """A static interface in the cloud's format."""
    address = {"ip": lan.address(host), "subnet": str(lan.subnet), "gateway": lan.gateway}
    return {"name": name, "parent_interface": lan.parent, "network_mode": "static", **address}


async def answering(lan: Lan) -> dict[str, str | None]:
    """The MAC address that answers ARP for each address on the LAN."""
    return {lan.address(host): await asyncio.to_thread(lan.mac_of, lan.address(host), seconds=2) for host in HOSTS}


@pytest.mark.parametrize("what", DISTURBANCES)
async def test_runtimes_answer_again_without_a_restart(
    edge: EdgeHost, lan: Lan, macs: dict[str, str | None], what: str
) -> None:
    disturbance = DISTURBANCES[what]
    before = [(await edge.runtime(name))["status"] for name in NAMES]

    await asyncio.to_thread(disturbance.cause, lan)
    if disturbance.reason:
        for name in NAMES:
            await eventually(
                partial(reported, edge, name, disturbance.reason), f"{disturbance.reason} is reported for {name}"
            )
    await asyncio.to_thread(disturbance.repair, lan)

    async def restored() -> bool:
        return await answering(lan) == macs

    await eventually(restored, f"all addresses answer as before (see {edge.log})")
    for name in NAMES:
        await edge.wait_condition(name, "Ready")
    after = [(await edge.runtime(name))["status"] for name in NAMES]
    assert None not in macs.values()
    assert [status["startedAt"] for status in after] == [status["startedAt"] for status in before]
    assert [status.get("restarts") for status in after] == [status.get("restarts") for status in before]


async def reported(edge: EdgeHost, name: str, reason: str) -> bool:
    """Whether a condition has the reason."""
    conditions = (await edge.runtime(name))["status"]["conditions"]
    return reason in {condition["reason"] for condition in conditions}


async def test_a_renamed_parent_is_changed_in_the_spec_without_a_restart(
    edge: EdgeHost, lan: Lan, macs: dict[str, str | None]
) -> None:
    before = [(await edge.runtime(name))["status"]["startedAt"] for name in NAMES]
    renamed = f"{lan.parent[:12]}-r"
    await asyncio.to_thread(lan.rename, lan.parent, renamed)
    for name in NAMES:
        count = len((await edge.runtime(name))["spec"]["interfaces"])
        patch = [
            {"op": "replace", "path": f"/spec/interfaces/{n}/parentInterface", "value": renamed} for n in range(count)
        ]
        await edge.kubectl("patch", "runtime", name, "--type=json", "-p", str(patch).replace("'", '"'))
        generation = (await edge.runtime(name))["metadata"]["generation"]
        await edge.kubectl(
            "wait", f"runtime/{name}", f"--for=jsonpath={{.status.appliedGeneration}}={generation}", "--timeout=60s"
        )

    assert await answering(lan) == macs
    assert [(await edge.runtime(name))["status"]["startedAt"] for name in NAMES] == before
    await asyncio.to_thread(lan.rename, renamed, lan.parent)
