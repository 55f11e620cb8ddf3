"""After a SIGKILL at any step of a creation or deletion, a restarted controller converges.

The engine's events show when the controller has made its n-th change, and the process is killed at that moment. So the
product needs no hooks for these tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from controller import errors
from tests.support.edge_host import EdgeHost
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]

CREATE_STEPS = [
    pytest.param(("network", "create"), 1, id="first-network-created"),
    pytest.param(("network", "create"), 2, id="second-network-created"),
    pytest.param(("container", "create"), 1, id="container-created"),
    pytest.param(("network", "connect"), 1, id="network-connected"),
    pytest.param(("container", "start"), 1, id="container-started"),
]
DELETE_STEPS = [
    pytest.param(("container", "kill"), 1, id="container-signalled"),
    pytest.param(("container", "die"), 1, id="container-stopped"),
    pytest.param(("container", "destroy"), 1, id="container-removed"),
    pytest.param(("network", "destroy"), 1, id="first-network-removed"),
]


class EventTrigger:
    """Calls ``action`` in its own thread at the n-th event of one kind from now on."""

    def __init__(self, client: Any, kind: tuple[str, str], count: int, action: Callable[[], None]) -> None:
        self.fired = threading.Event()
        self._stream = client.events(decode=True, filters={"type": kind[0], "event": kind[1]})
        self._thread = threading.Thread(target=self._follow, args=(count, action), daemon=True)
        self._thread.start()

    def _follow(self, count: int, action: Callable[[], None]) -> None:
        for number, _ in enumerate(self._stream, start=1):
            if number == count:
                action()
                self.fired.set()
                return

    async def wait(self) -> None:
        """Wait until it has fired."""
        assert await asyncio.to_thread(self.fired.wait, 60), "no event within 60 s"
        await asyncio.to_thread(self._stream.close)


async def ours(client: Any) -> tuple[list[str], list[str]]:
    """The names of the containers and networks with our label."""
    label = {"label": "app.kubernetes.io/managed-by=edge-controller"}
    containers = await asyncio.to_thread(client.containers, all=True, filters=label)
    networks = await asyncio.to_thread(client.networks, filters=label)
    return sorted(c["Names"][0].lstrip("/") for c in containers), sorted(n["Name"] for n in networks)


def killer(edge: EdgeHost) -> Callable[[], None]:
    """A function that kills the controller, from any thread."""
    process = edge.process
    assert process is not None
    return process.kill


@pytest.mark.parametrize(("kind", "count"), CREATE_STEPS)
async def test_a_creation_interrupted_by_a_kill_is_completed_once(
    edge: EdgeHost, lan: Lan, docker_api: Any, kind: tuple[str, str], count: int
) -> None:
    trigger = EventTrigger(docker_api, kind, count, killer(edge))
    assert (await edge.create("plc-1", lan.parent, f"{lan.address(70)}/24"))["status"] == "creating"
    await trigger.wait()
    await edge.kill()

    await edge.start()
    await edge.wait_running("plc-1")
    await edge.wait_condition("plc-1", "Ready")

    containers, networks = await ours(docker_api)
    assert containers == ["plc-1"]
    assert len(networks) == 2
    assert await asyncio.to_thread(lan.ping, lan.address(70))


@pytest.mark.parametrize(("kind", "count"), DELETE_STEPS)
async def test_a_deletion_interrupted_by_a_kill_leaves_nothing(
    edge: EdgeHost, lan: Lan, docker_api: Any, kind: tuple[str, str], count: int
) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(71)}/24")
    await edge.wait_running("plc-1")
    trigger = EventTrigger(docker_api, kind, count, killer(edge))
    with contextlib.suppress(errors.LinkError):  # it may be killed before it answers
        assert (await edge.send("delete_device", device_id="plc-1"))["status"] == "deleting"
    await trigger.wait()
    await edge.kill()

    await edge.start()
    await edge.wait_gone("plc-1")
    assert await ours(docker_api) == ([], [])


async def test_an_acknowledged_creation_survives_a_kill(edge: EdgeHost, lan: Lan) -> None:
    answer = await edge.create("plc-1", lan.parent, f"{lan.address(72)}/24")
    killer(edge)()
    assert answer["status"] == "creating"
    await edge.kill()
    await edge.start()
    await edge.wait_running("plc-1")


async def test_a_redelivered_command_gets_its_first_answer_and_acts_once(
    edge: EdgeHost, lan: Lan, docker_api: Any
) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(73)}/24")
    await edge.wait_running("plc-1")
    message = edge.message("restart_device", device_id="plc-1")
    first = await edge.cloud.send("07048933", "restart_device", message, timeout=45)
    started = (await asyncio.to_thread(docker_api.inspect_container, "plc-1"))["State"]["StartedAt"]

    await edge.kill()
    await edge.start()
    again = await edge.cloud.send("07048933", "restart_device", message, timeout=45)

    assert again == first
    assert first["success"] is True
    now = (await asyncio.to_thread(docker_api.inspect_container, "plc-1"))["State"]["StartedAt"]
    assert now == started
