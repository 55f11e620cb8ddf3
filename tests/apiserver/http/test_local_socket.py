"""The UNIX socket of the API's own process: who may use it, and what becomes of it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.web import RequestHandler

from controller import errors
from controller.apiserver.http import local_socket
from controller.apiserver.http.local_socket import SOCKET
from controller.apiserver.server import ApiServer
from controller.machinery import kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from tests.support.api_server import serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A started server without custom kinds."""
    async with serving(tmp_path) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like that of the API in the state directory."""
    folder = tmp_path / "api"
    folder.mkdir(mode=0o700)
    return folder


async def test_our_own_process_is_the_controller_without_a_token(api: ApiClient) -> None:
    body = {
        "metadata": {"name": "made", "namespace": "edge"},
        "involvedObject": {"namespace": "edge"},
        "reason": "Made",
    }
    await api.create(kinds.EVENTS, body)
    with pytest.raises(errors.ApiError, match='User "controller" cannot list resource "secrets"'):
        await api.list(kinds.SECRETS, "edge")


async def test_it_cannot_become_another_user(
    server: ApiServer, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await asyncio.to_thread(server.credentials, "admin")
    headers = {"Authorization": f"Bearer {admin.token}", "Impersonate-User": "admin"}
    monkeypatch.setattr(Endpoint, "authorization", lambda _: headers)
    with pytest.raises(errors.ApiError, match='User "controller" cannot impersonate'):
        await api.get(kinds.NAMESPACES, "edge")


async def test_a_process_of_another_user_is_refused(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)  # as the kernel reports our uid, the server must be another
    with pytest.raises(errors.ApiUnavailableError):
        await api.get(kinds.NAMESPACES, "edge")


async def test_connections_that_have_ended_are_forgotten(server: ApiServer) -> None:
    async def ask() -> None:
        client = ApiClient(Endpoint(server.url, socket=server.socket))
        await client.get(kinds.NAMESPACES, "edge")
        await client.close()

    for _ in range(20):
        await ask()
    gc.collect()
    assert sum(isinstance(each, RequestHandler) for each in gc.get_objects()) < 5


async def test_the_socket_is_private_and_removed_at_the_stop(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert (path := server.socket) is not None
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_a_socket_that_a_killed_process_left_is_replaced(folder: Path) -> None:
    path = folder / SOCKET
    left = local_socket.bind(path)
    assert left is not None
    left.close()
    again = local_socket.bind(path)
    assert again is not None
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        connection, _ = again.accept()
        assert local_socket.is_ours(connection)
        connection.close()
    again.close()


def test_a_symbolic_link_in_its_place_is_replaced_and_not_followed(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    (folder / SOCKET).symlink_to(target)
    made = local_socket.bind(folder / SOCKET)
    assert made is not None
    made.close()
    assert target.read_text() == "kept"
    assert stat.S_ISSOCK((folder / SOCKET).lstat().st_mode)


def _open_to_others(folder: Path) -> Path:
    folder.chmod(0o750)
    return folder / SOCKET


def _behind_a_link(folder: Path) -> Path:
    link = folder.with_name("link")
    link.symlink_to(folder)
    return link / SOCKET


def _too_long(folder: Path) -> Path:
    deep = folder / ("x" * local_socket.PATH_BYTES)
    deep.mkdir(mode=0o700)
    return deep / SOCKET


def _a_directory(folder: Path) -> Path:
    (folder / SOCKET).mkdir()
    return folder / SOCKET


@pytest.mark.parametrize("place", [_open_to_others, _behind_a_link, _too_long, _a_directory])
def test_there_is_no_socket_where_it_would_not_be_safe_or_possible(
    folder: Path, place: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert local_socket.bind(place(folder)) is None
    assert "using TLS instead" in caplog.text


async def test_without_a_socket_the_server_serves_tls(tmp_path: Path) -> None:
    state = tmp_path / ("x" * local_socket.PATH_BYTES)
    async with serving(state) as server:
        found = await asyncio.to_thread(server.credentials, "controller")
        client = ApiClient(Endpoint(server.url, ca_file=found.ca, token=found.token, socket=server.socket))
        assert server.socket is None
        assert (await client.get(kinds.NAMESPACES, "edge"))["metadata"]["name"] == "edge"
        await client.close()
