"""Requests to and responses from a runtime are never stored, yet the cloud's answers survive a power cut."""

from __future__ import annotations

import asyncio
import base64
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support import command
from tests.support.edge_host import AGENT, EdgeHost
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]

# Each is in another part of a request; the runtime echoes all of them, and sets cookies from the body.
PASSWORD, BEARER, COOKIE, QUERY, PARAMETER, FILE = (f"hunter2-{place}-9c1e" for place in "abcdef")
SECRETS = (PASSWORD, BEARER, COOKIE, QUERY, PARAMETER, FILE)
KINDS = "runtimes,runtimecommands,edgenodes,events,nodes,pods,namespaces,secrets"


@pytest.fixture
async def running(edge: EdgeHost, lan: Lan) -> str:
    """The name of a running runtime."""
    await edge.create("plc-1", lan.parent, f"{lan.address(50)}/24")
    await edge.wait_running("plc-1")
    return "plc-1"


def login(edge: EdgeHost, device: str, api: str = "/api/login", **fields: Any) -> dict[str, Any]:
    """A run_command message with a login."""
    headers = {"Authorization": f"Bearer {BEARER}", "Cookie": f"session={COOKIE}", "X-Api-Key": PASSWORD}
    request = {"method": "POST", "api": f"{api}?key={QUERY}", "params": {"p": PARAMETER}, "headers": headers}
    return edge.message("run_command", device_id=device, **{**request, "data": {"password": PASSWORD}, **fields})


async def send(edge: EdgeHost, message: dict[str, Any]) -> dict[str, Any]:
    """Send a message unchanged; it may have been sent before."""
    answer: dict[str, Any] = await edge.cloud.send(AGENT, message["action"], message, timeout=45)
    return answer


def leaks(text: bytes) -> list[str]:
    """The secrets contained in the text, plain or encoded."""
    forms = {secret: (secret.encode(), secret.encode().hex().encode()) for secret in SECRETS}
    encoded = {secret: base64.b64encode(secret.encode())[:-4] for secret in SECRETS}
    return [secret for secret in SECRETS if encoded[secret] in text or any(form in text for form in forms[secret])]


def leaking_files(folder: Path) -> dict[str, list[str]]:
    """The files that contain secrets."""
    contents = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {path: found for path, content in contents.items() if (found := leaks(content))}


def fetch(url: str) -> bytes:
    """The response body of a URL."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def other_logins(edge: EdgeHost, running: str) -> list[dict[str, Any]]:
    """Logins with a file, with errors at the runtime or in between, and refused ones."""
    file = {"filename": FILE, "content_base64": base64.b64encode(FILE.encode()).decode()}
    return [
        login(edge, running, files={"program": file}),
        login(edge, running, "/api/error/500"),
        login(edge, running, "/api/status", method="GET", data=None),
        login(edge, running, port=9),
        login(edge, "nobody"),
        login(edge, running, headers={"X": f"{PASSWORD}\n"}),
        login(edge, running, data=PASSWORD),
    ]


async def test_no_secret_of_a_login_is_stored(edge: EdgeHost, running: str, free_port: int) -> None:
    await edge.stop()
    await edge.start({"EDGE_LOG_LEVEL": "debug", "EDGE_HTTP_LISTEN": f"127.0.0.1:{free_port}"})
    first = login(edge, running)
    answer = await send(edge, first)
    assert answer["http_response"]["headers"]["Set-Cookie"].startswith("session=")
    assert all(secret in str(answer) for secret in (PASSWORD, BEARER, COOKIE, QUERY, PARAMETER))
    for message in other_logins(edge, running):
        await send(edge, message)
    assert await send(edge, first) == answer

    backup = [sys.executable, "-m", "controller", "backup"]
    await asyncio.to_thread(command.run, *backup, environment=edge.environment)
    objects = await edge.kubectl("get", KINDS, "-A", "-o", "json", "--show-managed-fields")
    metrics = await asyncio.to_thread(fetch, f"http://127.0.0.1:{free_port}/metrics")
    assert "run-command-" in objects
    assert b"run_command" in metrics
    assert leaks(objects.encode() + metrics) == []
    assert await asyncio.to_thread(leaking_files, edge.state) == {}
    assert leaks(edge.log_text().encode()) == []

    await edge.kill()
    await edge.start()
    empty: dict[str, Any] = {
        "headers": {},
        "body": None,
        "content_type": "",
        "truncated": True,
        "status_code": 200,
        "ok": True,
    }
    assert await send(edge, first) == {**answer, "http_response": empty}
    assert await asyncio.to_thread(leaking_files, edge.state) == {}


async def test_a_redelivered_command_gets_its_first_answer_after_a_kill(
    edge: EdgeHost, running: str, docker_api: Any
) -> None:
    for topic in ("stop_device", "start_device", "restart_device"):
        message = edge.message(topic, device_id=running)
        first = await send(edge, message)
        assert first["success"] is True
        await edge.kill()
        before = (await asyncio.to_thread(docker_api.inspect_container, running))["State"]
        await edge.start()
        assert await send(edge, message) == first
        after = (await asyncio.to_thread(docker_api.inspect_container, running))["State"]
        assert (after["StartedAt"], after["FinishedAt"]) == (before["StartedAt"], before["FinishedAt"])
