"""A recreated Runtime adopts its container by identity; foreign containers are never touched."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any

import pytest

from tests.support.edge_host import EdgeHost, eventually
from tests.support.lan import Lan

pytestmark = pytest.mark.docker

SPEC_LABEL = "getedge.me/spec"


async def started_at(client: Any, name: str) -> str:
    """The container's start time in the engine's format."""
    found: str = (await asyncio.to_thread(client.inspect_container, name))["State"]["StartedAt"]
    return found


async def lose_database(edge: EdgeHost) -> None:
    """Delete the database, as after a disk failure; the rest of the state, with our install id, stays."""
    databases = [path for path in edge.state.rglob("*.db*") if path.is_file()]
    assert databases, "no database of the embedded API found"
    with sqlite3.connect(next(path for path in databases if path.suffix == ".db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for path in databases:
        path.unlink()


async def test_an_orphaned_container_is_reported_and_left_running(edge: EdgeHost, lan: Lan, docker_api: Any) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(80)}/24")
    await edge.wait_running("plc-1")
    before = await started_at(docker_api, "plc-1")
    await edge.stop()
    await lose_database(edge)
    await edge.start()

    async def reported() -> bool:
        return "OrphanedContainer" in await edge.kubectl("get", "events", "-A", check=False) + edge.log_text()

    await eventually(reported, "the orphan is reported", seconds=90)
    assert await started_at(docker_api, "plc-1") == before


async def test_a_recreated_runtime_adopts_its_container_without_a_restart(
    edge: EdgeHost, lan: Lan, docker_api: Any
) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(81)}/24")
    mac = (await edge.wait_running("plc-1"))["networks"]["lan0"]["mac_address"]
    before = await started_at(docker_api, "plc-1")
    await edge.stop()
    await lose_database(edge)
    await edge.start()

    answer = await edge.create("plc-1", lan.parent, f"{lan.address(81)}/24")
    assert answer["status"] == "creating"
    await edge.wait_condition("plc-1", "Ready")

    assert await started_at(docker_api, "plc-1") == before
    assert (await edge.status("plc-1"))["networks"]["lan0"]["mac_address"] == mac


async def test_a_foreign_container_with_the_same_name_is_never_touched(
    edge: EdgeHost, lan: Lan, docker_api: Any
) -> None:
    image = f"{edge.environment['EDGE_RUNTIME_IMAGE']}:{edge.environment['EDGE_RUNTIME_VERSION']}"
    foreign = await asyncio.to_thread(docker_api.create_container, image, name="plc-9")
    try:
        answer = await edge.create("plc-9", lan.parent, f"{lan.address(82)}/24")
        assert answer["status"] == "error"
        assert "plc-9" in answer["error"]
        assert (await edge.status("plc-9"))["status"] == "error"
        found = await asyncio.to_thread(docker_api.inspect_container, foreign["Id"])
        assert found["State"]["Status"] == "created"
    finally:
        await asyncio.to_thread(docker_api.remove_container, foreign["Id"], force=True)


async def test_a_container_of_another_installation_is_never_touched(edge: EdgeHost, lan: Lan, docker_api: Any) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(83)}/24")
    await edge.wait_running("plc-1")
    mine = await asyncio.to_thread(docker_api.inspect_container, "plc-1")
    labels = {**mine["Config"]["Labels"], "getedge.me/install-id": "somebody-else"}
    image = mine["Config"]["Image"]
    other = await asyncio.to_thread(docker_api.create_container, image, name="look-alike", labels=labels)
    try:
        await edge.send("delete_device", device_id="plc-1")
        await edge.wait_gone("plc-1")
        await asyncio.to_thread(docker_api.inspect_container, other["Id"])
    finally:
        await asyncio.to_thread(docker_api.remove_container, other["Id"], force=True)


async def test_a_new_default_version_in_the_settings_restarts_nothing(
    edge: EdgeHost, lan: Lan, docker_api: Any
) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(84)}/24")
    await edge.wait_running("plc-1")
    await edge.wait_condition("plc-1", "Ready")
    before = await started_at(docker_api, "plc-1")
    await edge.stop()
    await edge.start({"EDGE_RUNTIME_VERSION": "2"})
    await edge.wait_running("plc-1")
    await edge.kubectl("annotate", "runtime", "plc-1", "touched=yes")
    await edge.wait_condition("plc-1", "Ready")
    assert await started_at(docker_api, "plc-1") == before


async def test_a_changed_image_replaces_the_container_and_keeps_its_mac(
    edge: EdgeHost, lan: Lan, docker_api: Any
) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(85)}/24")
    mac = (await edge.wait_running("plc-1"))["networks"]["lan0"]["mac_address"]
    before = (await asyncio.to_thread(docker_api.inspect_container, "plc-1"))["Id"]

    await edge.kubectl("patch", "runtime", "plc-1", "--type=merge", "-p", json.dumps({"spec": {"version": "2"}}))

    async def replaced() -> bool:
        found = await asyncio.to_thread(docker_api.containers, filters={"name": "^/plc-1$"})
        return bool(found) and found[0]["Id"] != before

    await eventually(replaced, "a new container runs")
    await edge.wait_condition("plc-1", "Ready")
    assert await asyncio.to_thread(lan.mac_of, lan.address(85)) == mac


async def test_an_image_that_does_not_run_is_rolled_back_once(edge: EdgeHost, lan: Lan, docker_api: Any) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(86)}/24")
    await edge.wait_running("plc-1")
    before = (await asyncio.to_thread(docker_api.inspect_container, "plc-1"))["Id"]

    await edge.kubectl("patch", "runtime", "plc-1", "--type=merge", "-p", json.dumps({"spec": {"version": "crash"}}))
    await edge.wait_condition("plc-1", "Stalled")

    now = await asyncio.to_thread(docker_api.inspect_container, "plc-1")
    assert (now["Id"], now["State"]["Running"]) == (before, True)
    assert await asyncio.to_thread(lan.ping, lan.address(86))
