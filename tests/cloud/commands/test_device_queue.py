"""Commands for one device run in order, for different devices concurrently; queries are answered at once."""

from __future__ import annotations

import asyncio

from controller.api import kinds
from controller.cloud.answers import CANCELLED
from tests.support.command_harness import NAMESPACE, CommandHarness, Operator, vnic
from tests.support.direct_api import DirectApi


async def create(harness: CommandHarness, *names: str) -> None:
    """Create Runtimes through the cloud."""
    for name in names:
        await harness.send("create_new_runtime", container_name=name, vnic_configs=[vnic()])


async def reconcile(harness: CommandHarness, name: str = "plc-1") -> None:
    """Run one reconciliation."""
    await Operator(harness.api).reconcile(await harness.runtime(name))


async def test_a_start_waits_for_an_earlier_stop(harness: CommandHarness) -> None:
    await create(harness, "plc-1")
    stop = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    start = asyncio.create_task(harness.send("start_device", device_id="plc-1"))
    await harness.api_has("watch", 1)
    assert (await harness.runtime("plc-1"))["spec"]["desiredState"] == "Stopped"

    await reconcile(harness)
    assert (await stop)["success"] is True
    await harness.api_has("watch", 2)
    await reconcile(harness)
    assert (await start)["success"] is True
    assert (await harness.runtime("plc-1"))["spec"]["desiredState"] == "Running"


async def test_devices_do_not_wait_for_each_other(harness: CommandHarness) -> None:
    await create(harness, "plc-1", "plc-2")
    waiting = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    await harness.api_has("watch", 1)
    other = asyncio.create_task(harness.send("stop_device", device_id="plc-2"))
    await harness.api_has("watch", 2)
    await reconcile(harness, "plc-2")
    assert (await other)["success"] is True
    assert not waiting.done()


async def test_queries_do_not_wait(harness: CommandHarness) -> None:
    await create(harness, "plc-1")
    waiting = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    await harness.api_has("watch", 1)
    assert (await harness.send("get_device_status", device_id="plc-1"))["status"] == "creating"
    await reconcile(harness)
    await waiting


async def test_reads_do_not_wait_but_all_other_requests_do(harness: CommandHarness) -> None:
    await create(harness, "plc-1")
    await reconcile(harness)
    waiting = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    await harness.api_has("watch", 1)
    others = [
        asyncio.create_task(harness.send("run_command", device_id="plc-1", method=method, api="/api/start-plc"))
        for method in ("GET", "HEAD", "OPTIONS", "POST")
    ]
    read = await harness.send("run_command", device_id="plc-1", method="GET", api="/api/status?verbose=1")
    assert read["status"] == "success"
    assert [request.path for request in harness.node.requests] == ["/api/status?verbose=1"]
    await reconcile(harness)
    await waiting
    for other in others:
        assert "is not running" in (await other)["error"]


async def test_get_requests_that_change_a_plc_run_in_order(harness: CommandHarness) -> None:
    await create(harness, "plc-1")
    await reconcile(harness)
    paths = [f"/api/{verb}-plc" for verb in ("stop", "start", "stop")]
    await asyncio.gather(*(harness.send("run_command", device_id="plc-1", method="GET", api=path) for path in paths))
    assert [request.path for request in harness.node.requests] == paths
    assert harness.node.peak_in_flight == 1


async def test_a_read_is_not_recorded(harness: CommandHarness) -> None:
    await create(harness, "plc-1")
    await reconcile(harness)
    before = len(harness.api.requests)
    await harness.send("run_command", device_id="plc-1", method="GET", api="/api/ping")
    assert {verb for verb, _ in harness.api.requests[before:]} <= {"get", "list"}


async def test_a_delete_cancels_waiting_commands(harness: CommandHarness) -> None:
    await create(harness, "plc-1")
    stop = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    start = asyncio.create_task(harness.send("start_device", device_id="plc-1"))
    await harness.api_has("watch", 1)
    assert (await harness.send("delete_device", device_id="plc-1"))["status"] == "deleting"
    assert "delete_device" in (await stop)["error"]
    assert "delete_device" in (await start)["error"]


async def test_a_create_waits_for_an_earlier_deletion(harness: CommandHarness) -> None:
    await create(harness, "plc-1")
    first = (await harness.runtime("plc-1"))["metadata"]["uid"]
    await harness.send("delete_device", device_id="plc-1")
    again = asyncio.create_task(
        harness.send("create_new_runtime", container_name="plc-1", vnic_configs=[vnic(ip="192.168.1.51")])
    )
    await harness.api_has("watch", 1)
    await reconcile(harness)
    assert (await again)["status"] == "creating"
    assert (await harness.runtime("plc-1"))["metadata"]["uid"] != first


async def test_a_create_times_out_while_waiting_for_a_deletion(api: DirectApi) -> None:
    harness = CommandHarness(api, seconds=0.05)
    await create(harness, "plc-1")
    await harness.send("delete_device", device_id="plc-1")
    answer = await harness.send("create_new_runtime", container_name="plc-1", vnic_configs=[vnic()])
    assert "still being deleted" in answer["error"]


async def test_empty_queues_are_removed(harness: CommandHarness) -> None:
    await create(harness, "plc-1", "plc-2")
    await asyncio.sleep(0)
    assert harness.executor._queues._last == {}
    assert harness.executor._in_progress == {}


async def test_stopping_the_process_keeps_written_changes(harness: CommandHarness, api: DirectApi) -> None:
    await create(harness, "plc-1")
    waiting = asyncio.create_task(harness.send("stop_device", device_id="plc-1"))
    await harness.api_has("watch", 1)
    await harness.close()
    assert (await waiting)["error"] == CANCELLED
    runtime = await api.get(kinds.RUNTIMES, "plc-1", NAMESPACE)
    assert runtime["spec"]["desiredState"] == "Stopped"
