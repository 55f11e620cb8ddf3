"""Lifecycle of the server: credentials, disk errors, expiry, restarts."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller import errors
from controller.apiserver.controllers import seed
from controller.apiserver.controllers.maintenance import Expiry
from controller.apiserver.kinds.core import EVENTS
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.server import ApiServer
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from tests.support.api_server import serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A started server without custom kinds."""
    async with serving(tmp_path) as server:
        yield server


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[ApiClient]:
    """An administrator's client."""
    found = await asyncio.to_thread(server.credentials, "admin")
    client = ApiClient(Endpoint(server.url, ca_file=found.ca, client_cert=found.certificate, client_key=found.key))
    yield client
    await client.close()


def event(name: str, **fields: Any) -> dict[str, Any]:
    """A core event."""
    about = {"namespace": "edge"}
    return {"metadata": {"name": name, **about}, "involvedObject": about, "reason": "Made", **fields}


async def test_every_secret_has_mode_0600(server: ApiServer, tmp_path: Path) -> None:
    secrets = [path for path in (tmp_path / "api").rglob("*") if path.suffix in {".key", ".token", ".db"}]
    assert len(secrets) >= 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


async def test_credentials_survive_a_restart(tmp_path: Path) -> None:
    kept = []
    for _ in range(2):
        async with serving(tmp_path) as server:
            kept.append((await asyncio.to_thread(server.credentials, "admin")).token)
    assert kept[0] == kept[1]


async def test_a_bearer_token_authenticates_like_a_certificate(server: ApiServer) -> None:
    found = await asyncio.to_thread(server.credentials, "admin")
    client = ApiClient(Endpoint(server.url, ca_file=found.ca, token=found.token))
    names = [item["metadata"]["name"] for item in await client.list(core_kinds.NAMESPACES)]
    await client.close()
    assert names == ["default", "edge", "kube-system"]


async def test_events_expire_an_hour_after_their_last_write(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.db")
    await store.open()
    await seed.create_defaults(store, ["default", "edge"], [])
    elapsed = 0.0
    expiry = Expiry(store, lambda: elapsed)
    for body in (event("once"), event("often"), event("of-1970", lastTimestamp="1970-01-01T00:00:00Z")):
        await Verbs(store).create(ResourceRef(EVENTS, "edge"), body, WriteOptions())
    await expiry.sweep()
    elapsed = 50 * 60
    merge = "application/merge-patch+json"
    await Verbs(store).patch(ResourceRef(EVENTS, "edge", "often"), {"count": 2}, merge, WriteOptions())
    await expiry.sweep()
    elapsed = 60 * 60
    await expiry.sweep()
    assert len(store.select("events", "")) == 3
    elapsed += 1
    await expiry.sweep()
    assert [item["metadata"]["name"] for item in store.select("events", "")] == ["often"]
    elapsed = 110 * 60 + 1
    await expiry.sweep()
    assert not store.select("events", "")
    await store.close()


async def test_a_failed_deletion_does_not_restart_the_time_of_other_objects(tmp_path: Path) -> None:
    elapsed = 0.0
    store = Store(tmp_path / "objects.db")
    await store.open()
    await seed.create_defaults(store, ("default", "edge"), [])
    expiry = Expiry(store, lambda: elapsed)
    for name in ("one", "two"):
        await Verbs(store).create(ResourceRef(EVENTS, "edge"), event(name), WriteOptions())
    await expiry.sweep()
    elapsed = 60 * 60 + 1
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Verbs, "delete", full)
        with pytest.raises(errors.DiskFullError):
            await expiry.sweep()
    await expiry.sweep()
    assert not store.select("events", "")
    await store.close()


async def full(*_: object) -> None:
    """A deletion on a full disk."""
    raise errors.DiskFullError("no space")


async def readiness(server: ApiServer) -> str:
    """The readiness report, which needs no authentication."""
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/readyz?verbose", ssl=False) as answer:
        return await answer.text()


async def test_a_write_that_cannot_be_stored_fails_and_the_next_one_succeeds(
    server: ApiServer, api: ApiClient, tmp_path: Path
) -> None:
    database = sqlite3.connect(tmp_path / "api" / "objects.db", isolation_level=None)
    database.execute("CREATE TRIGGER full BEFORE INSERT ON revisions BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(errors.ApiUnavailableError, match=r"cannot use .*disk full.*has space"):
        await api.create(core_kinds.EVENTS, event("one"))
    assert "[-]store failed: the last write failed; see the log" in await readiness(server)
    database.execute("DROP TRIGGER full")
    database.close()
    await api.create(core_kinds.EVENTS, event("one"))
    assert [item["metadata"]["name"] for item in await api.list(core_kinds.EVENTS)] == ["one"]
    assert "[+]store ok" in await readiness(server)


async def test_an_address_in_use_is_reported_with_its_setting(server: ApiServer, tmp_path: Path) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(errors.SettingError, match="EDGE_API_LISTEN"):
        await ApiServer(tmp_path / "other", "127.0.0.1", port, [], "edge").start()
