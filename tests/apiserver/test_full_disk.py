"""The store on a full disk: which writes succeed, which are rejected, and the recovery afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller import errors, names
from controller.api import crds, kinds
from controller.apiserver.server import ApiServer
from controller.apiserver.storage.reserve import BYTES, Urgency
from controller.apiserver.storage.store import SHORT_HISTORY, Store
from controller.disk import Disk
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from tests.apiserver.storage.test_store import key, thing
from tests.support import small_disk
from tests.support.edge_host import eventually
from tests.support.small_disk import SmallDisk

STATUS_BYTES = 4000
WRITES = 2 * BYTES // STATUS_BYTES  # more than the reserve holds


BOTH = pytest.mark.parametrize("make", [small_disk.tmpfs, small_disk.ext4], ids=["tmpfs", "ext4"])


@pytest.fixture
def make() -> Any:
    """Creates the disk; ext4 where the allocation strategy of a file system matters."""
    return small_disk.tmpfs


@pytest.fixture
def disk(make: Any, tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk."""
    with make(tmp_path / "disk") as made:
        yield made


async def opened(disk: SmallDisk) -> Store:
    """Open a store on the disk and fill its reserve."""
    store = Store(disk.path / "objects.db", disk=Disk(disk.path))
    await store.open()
    await store.refill()
    return store


async def put(store: Store, name: str, value: object, urgency: Urgency = Urgency.ORDINARY) -> None:
    """Write an object as large as a status."""
    item = thing(name, value=value, filler="x" * STATUS_BYTES)
    await store.write(key(name), lambda write: write.commit(item, urgency))


async def remove(store: Store, name: str) -> None:
    """Delete an object."""
    await store.write(key(name), lambda write: write.commit(None, Urgency.DELETION))


async def use_up_reserve(store: Store) -> None:
    """Write statuses of new objects until the reserve is used up."""
    for number in range(WRITES):
        await put(store, f"status-{number}", number, Urgency.NECESSARY)


async def values(disk: SmallDisk) -> dict[str, Any]:
    """The values that a new process reads."""
    store = Store(disk.path / "objects.db", disk=Disk(disk.path))
    await store.open()
    found = {item["metadata"]["name"]: item["value"] for item in store.select("things", "")}
    await store.close()
    return found


@BOTH
async def test_on_a_full_disk_statuses_are_written_and_writes_that_grow_the_database_are_rejected(
    disk: SmallDisk,
) -> None:
    store = await opened(disk)
    await put(store, "one", 0)
    await asyncio.to_thread(disk.fill)
    for number in range(300):
        await put(store, "one", number, Urgency.NECESSARY)
    with pytest.raises(errors.DiskFullError, match=r"DiskFull: the disk of .* is full .*free space") as refused:
        await put(store, "two", 0)
    assert (refused.value.code, refused.value.reason) == (507, "DiskFull")
    assert store.last_write_ok
    await store.close()
    assert await values(disk) == {"one": 299}


async def test_statuses_are_written_indefinitely_while_compaction_frees_space(disk: SmallDisk) -> None:
    store = await opened(disk)
    await put(store, "one", 0)
    await asyncio.to_thread(disk.fill)
    for number in range(WRITES):
        await put(store, "one", number, Urgency.NECESSARY)
        if number % SHORT_HISTORY == 0:
            await store.compact()
    await store.close()
    assert await values(disk) == {"one": WRITES - 1}


async def test_deletions_succeed_after_statuses_have_used_up_their_reserve(disk: SmallDisk) -> None:
    store = await opened(disk)
    for number in range(20):
        await put(store, f"old-{number}", number)
    await asyncio.to_thread(disk.fill)
    with pytest.raises(errors.DiskFullError):
        await use_up_reserve(store)
    for number in range(20):
        await remove(store, f"old-{number}")
    left = [item["metadata"]["name"] for item in store.select("things", "")]
    await store.compact()  # frees the space of the deleted rows
    await store.close()
    assert sorted(await values(disk)) == sorted(left)


@BOTH
async def test_the_reserve_survives_kill_9_and_a_clean_stop_on_a_full_disk(disk: SmallDisk) -> None:
    store = await opened(disk)
    await put(store, "one", 0)
    await asyncio.to_thread(disk.fill)
    for life in range(3):
        await put(store, "one", life, Urgency.NECESSARY)
        await store.close()
        await asyncio.to_thread(disk.fill)  # another program uses up whatever space the stop freed
        store = Store(disk.path / "objects.db", disk=Disk(disk.path))
        await store.open()
    await put(store, "one", "last", Urgency.NECESSARY)
    await store.close()
    assert await values(disk) == {"one": "last"}


async def test_with_free_space_all_writes_succeed_and_the_reserve_is_refilled(disk: SmallDisk) -> None:
    store = await opened(disk)
    await asyncio.to_thread(disk.fill)
    with pytest.raises(errors.DiskFullError):
        await use_up_reserve(store)
    await asyncio.to_thread(disk.free)
    await put(store, "new", 1)
    await store.refill()
    await asyncio.to_thread(disk.fill)
    for number in range(300):
        await put(store, "new", number, Urgency.NECESSARY)
    await store.close()
    assert (await values(disk))["new"] == 299


async def test_the_reserve_is_refilled_after_many_writes_only(disk: SmallDisk) -> None:
    store = await opened(disk)
    filled = size(disk)
    for number in range(100):
        await put(store, f"few-{number}", number)
    await store.refill()
    assert size(disk) == filled
    for number in range(BYTES // STATUS_BYTES):
        await put(store, f"many-{number}", number)
    await store.refill()
    assert size(disk) > filled
    await store.close()


def size(disk: SmallDisk) -> int:
    """The bytes of the database."""
    return (disk.path / "objects.db").stat().st_size


@BOTH
def test_a_full_disk_and_its_end_are_logged_once(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    checked = Disk(disk.path)
    with caplog.at_level(logging.INFO, "controller.disk"):
        assert checked.check() == ""
        disk.fill()
        assert all("is full" in checked.check() for _ in range(3))
        disk.free()
        assert all(checked.check() == "" for _ in range(3))
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_disk_without_free_inodes_is_full(tmp_path: Path) -> None:
    with small_disk.tmpfs(tmp_path / "disk", inodes=100) as disk:
        disk.use_up_inodes()
        assert "no inodes left" in Disk(disk.path).check()


def test_a_write_that_failed_for_lack_of_space_marks_the_disk_as_full_for_a_while(tmp_path: Path) -> None:
    now = 0.0
    disk = Disk(tmp_path, clock=lambda: now)
    disk.refused(OSError(122, "Disk quota exceeded"))
    assert "quota" in disk.check()
    now = 60.0
    assert disk.check() == ""


@pytest.fixture
async def server(disk: SmallDisk) -> AsyncIterator[ApiServer]:
    """A server with our kinds on the small disk."""
    server = ApiServer(disk.path, "127.0.0.1", 0, crds.manifests(), "edge")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[ApiClient]:
    """An administrator's client of the server."""
    ours = await asyncio.to_thread(server.credentials, "admin")
    client = ApiClient(Endpoint(server.url, ca_file=ours.ca, client_cert=ours.certificate, client_key=ours.key))
    yield client
    await client.close()


def runtime(name: str) -> dict[str, Any]:
    """A Runtime."""
    return {"metadata": {"name": name, "namespace": "edge"}, "spec": {"deviceId": name, "image": "registry/plc"}}


async def test_the_api_reports_a_full_disk_and_recovers(
    disk: SmallDisk, server: ApiServer, api: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    await api.create(kinds.RUNTIMES, runtime("one"))
    await api.create(kinds.RUNTIMES, runtime("two"))
    await has_reserve(disk)
    await asyncio.to_thread(disk.fill)
    with pytest.raises(errors.DiskFullError, match="DiskFull"):
        await api.create(kinds.RUNTIMES, runtime("three"))
    with pytest.raises(errors.DiskFullError):
        await api.patch(kinds.RUNTIMES, "one", "edge", {"spec": {"version": "2"}})
    await api.patch(kinds.RUNTIMES, "one", "edge", {"status": {"observedGeneration": 1}}, subresource="status")
    await api.patch(kinds.RUNTIMES, "one", "edge", {"metadata": {"annotations": {names.CLAIM: "its uid"}}})
    await api.delete(kinds.RUNTIMES, "two", "edge")
    command = {"metadata": {"name": "c1", "namespace": "edge"}, "spec": COMMAND}
    await api.create(kinds.RUNTIME_COMMANDS, command)
    assert [found["metadata"]["name"] for found in await api.list(kinds.RUNTIMES)] == ["one"]
    assert "DiskFull" in await ready(server, 500)

    async def reported() -> bool:
        return any(event["reason"] == "DiskFull" for event in await api.list(core_kinds.EVENTS))

    await eventually(reported, "the Event")
    await asyncio.to_thread(disk.free)
    await api.create(kinds.RUNTIMES, runtime("three"))
    await ready(server, 200)
    assert sum("is full" in record.message for record in caplog.records) == 1


COMMAND = {"topic": "delete_device", "receivedAt": "2026-01-01T00:00:00Z"}


async def has_reserve(disk: SmallDisk) -> None:
    """Wait until the server has filled its reserve."""
    file = disk.path / "api" / "objects.db"

    async def made() -> bool:
        return (await asyncio.to_thread(file.stat)).st_size > BYTES

    await eventually(made, "the reserve")


async def ready(server: ApiServer, status: int) -> str:
    """The body of /readyz, which must have this status."""
    ours = await asyncio.to_thread(server.credentials, "admin")
    endpoint = Endpoint(server.url, ca_file=ours.ca, token=ours.token)
    context = await asyncio.to_thread(endpoint.ssl_context)
    headers = {"Authorization": f"Bearer {ours.token}"}
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        session.get(f"{server.url}/readyz?verbose") as answer,
    ):
        assert answer.status == status, await answer.text()
        return await answer.text()
