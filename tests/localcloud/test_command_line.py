"""``edge-controller cloud`` on the command line, with a served cloud and a connected agent."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from controller.cli.cloud import cloud as command
from controller.errors import CommandError, SettingError
from controller.localcloud.api import SOCKET_FILE
from tests.support.links import RunningLink, echo, identity_in

AGENT = "07048933"


class Served:
    """``cloud serve`` as a process, and other commands against it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def start(self) -> None:
        """Serve on a free port."""
        self.process = await self._spawn("serve", "--listen", "127.0.0.1:0")
        assert self.process.stdout is not None
        line = (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode()
        self.url = next(word.rstrip(";") for word in line.split() if word.startswith("https://"))

    async def stop(self) -> int:
        """Stop it like Ctrl-C; return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return await asyncio.wait_for(self.process.wait(), 30)

    async def run(self, *arguments: str, stdin: str = "") -> tuple[int | None, str, str]:
        """Run one command; return exit status, stdout and stderr."""
        process = await self._spawn(*arguments)
        output, errors = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        return process.returncode, output.decode(), errors.decode()

    async def _spawn(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        words = ["-m", "controller", "cloud", arguments[0], "--dir", str(self.directory), *arguments[1:]]
        return await asyncio.create_subprocess_exec(sys.executable, *words, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A served cloud."""
    served = Served(tmp_path / "c")
    await served.start()
    yield served
    if served.process.returncode is None:
        assert await served.stop() == 0


async def _dispatch(event: str, arguments: list[Any]) -> dict[str, Any]:
    if event == "fails":
        return {"action": event, "status": "error", "error": "no such device"}
    return await echo(event, arguments)


async def _enrolled(served: Served, name: str, folder: Path) -> RunningLink:
    status, output, errors = await served.run("enroll", name, "--out", str(folder))
    assert (status, errors) == (0, "")
    assert str(folder) in output
    return RunningLink(served.url, identity_in(folder), _dispatch, interval=3600)


async def test_an_enrolled_agent_connects_is_listed_and_answers(served: Served, tmp_path: Path) -> None:
    async with await _enrolled(served, AGENT, tmp_path / "mtls") as agent:
        await agent.connected()
        status, table, _ = await served.run("agents")
        assert status == 0
        assert table.splitlines()[1].startswith(AGENT)
        assert "online" in table

        status, output, _ = await served.run("send", "stop_device", "--device", "plc-1", "count=2", "name=two words")
        message = json.loads(output)["arguments"][0]
        assert status == 0
        assert message.items() >= {"device_id": "plc-1", "count": 2, "name": "two words"}.items()
        assert (message["action"], type(message["correlation_id"])) == ("stop_device", int)
        assert "T" in message["requested_at"]

        status, output, _ = await served.run("send", "fails")
        assert (status, json.loads(output)["error"]) == (1, "no such device")

    status, output, _ = await served.run("agents", "--json")
    assert [(agent["agent"], agent["connected_since"]) for agent in json.loads(output)] == [(AGENT, None)]


@pytest.mark.parametrize("source", ["inline", "file", "stdin"])
async def test_fields_are_read_from_every_json_source(served: Served, tmp_path: Path, source: str) -> None:
    text = json.dumps({"method": "GET", "api": "/"})
    (tmp_path / "message.json").write_text(text)
    given = {"inline": text, "file": str(tmp_path / "message.json"), "stdin": "-"}[source]
    async with await _enrolled(served, AGENT, tmp_path / "mtls") as agent:
        await agent.connected()
        _, output, _ = await served.run("send", "run_command", "--json", given, "api=/other", stdin=text)
    message = json.loads(output)["arguments"][0]
    assert (message["method"], message["api"]) == ("GET", "/other")


async def test_with_several_agents_one_must_be_named(served: Served, tmp_path: Path) -> None:
    assert "no agent is connected" in (await served.run("send", "topic"))[2]
    async with (
        await _enrolled(served, "a", tmp_path / "a") as a,
        await _enrolled(served, "b", tmp_path / "b") as b,
    ):
        await a.connected()
        await b.connected()
        status, _, errors = await served.run("send", "topic")
        assert (status, "2 agents are connected (a, b); name one with --agent" in errors) == (1, True)
        assert (await served.run("send", "topic", "--agent", "b"))[0] == 0


async def test_the_http_api_is_private_and_explains_errors(served: Served) -> None:
    socket = served.directory / SOCKET_FILE
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    async with aiohttp.ClientSession("http://local", connector=aiohttp.UnixConnector(str(socket))) as session:
        for method, path, body, status in [
            ("GET", "/agents", None, 200),
            ("GET", "/agents/x?wait=0.01", None, 504),
            ("GET", "/agents/x?wait=soon", None, 400),
            ("GET", "/agents/x/heartbeats?since=0", None, 200),
            ("POST", "/agents/x/send", "not JSON", 400),
            ("POST", "/agents/x/send", "[]", 400),
            ("POST", "/agents/x/send", '{"topic": "t", "fields": []}', 400),
            ("POST", "/agents/x/send", '{"topic": "t"}', 504),
        ]:
            async with session.request(method, path, data=body) as response:
                assert response.status == status, (method, path, body)
                assert status == 200 or (await response.json())["error"]


async def test_a_second_cloud_on_the_same_folder_is_refused(served: Served) -> None:
    status, _, errors = await served.run("serve", "--listen", "127.0.0.1:0")
    assert (status, "already runs on" in errors) == (1, True)


async def test_a_killed_cloud_can_be_served_again(served: Served) -> None:
    served.process.kill()
    await served.process.wait()
    assert "no local cloud runs on" in (await served.run("agents"))[2]
    await served.start()
    assert (await served.run("agents"))[0] == 0


def test_an_existing_key_is_only_replaced_on_request(tmp_path: Path) -> None:
    arguments = ["enroll", AGENT, "--dir", str(tmp_path / "c"), "--out", str(tmp_path / "mtls")]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    key = (tmp_path / "mtls" / "client.key").read_text()
    assert "already exists" in str(CliRunner().invoke(command, arguments).exception)
    assert (tmp_path / "mtls" / "client.key").read_text() == key
    assert CliRunner().invoke(command, [*arguments, "--force"]).exit_code == 0
    assert (tmp_path / "mtls" / "client.key").read_text() != key


@pytest.mark.parametrize("listen", ["7443", "localhost:", ":7443", "localhost:http", "localhost:70000"])
def test_a_malformed_address_is_reported_with_an_example(tmp_path: Path, listen: str) -> None:
    result = CliRunner().invoke(command, ["serve", "--dir", str(tmp_path), "--listen", listen])
    assert isinstance(result.exception, SettingError)
    assert "give it as HOST:PORT, such as 127.0.0.1:7443" in str(result.exception)


@pytest.mark.parametrize("arguments", [[], ["serve"], ["enroll"], ["agents"], ["send"]])
def test_help_has_examples(arguments: list[str]) -> None:
    result = CliRunner().invoke(command, [*arguments, "--help"])
    assert "Examples:\n    edge-controller cloud" in result.output


def test_a_path_too_long_for_a_socket_is_reported(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["agents", "--dir", str(tmp_path / ("x" * 120))])
    assert "too long for a Unix socket; choose a shorter --dir" in str(result.exception)


def test_a_key_in_a_folder_below_the_home_is_not_replaced(tmp_path: Path) -> None:
    key = tmp_path / "mtls" / "client.key"
    key.parent.mkdir()
    key.write_text("kept")
    words = ["enroll", "--dir", str(tmp_path / "cloud"), AGENT, "--out", "~/mtls"]
    result = CliRunner(env={"HOME": str(tmp_path)}).invoke(command, words)
    assert isinstance(result.exception, CommandError)
    assert key.read_text() == "kept"
