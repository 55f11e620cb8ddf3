"""The link to a cloud that restarts, disconnects, is slow or sends many commands: it always reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import socketio

from controller.cloud.identity import Identity
from controller.localcloud.server import Cloud
from tests.cloud.conftest import AGENT
from tests.support.certificates import Authority
from tests.support.links import FakeDispatcher, RunningLink, echo, identity_in
from tests.support.wire import WireCloud

Load = Callable[[], Identity]


async def test_the_cloud_identifies_the_agent_and_receives_its_heartbeat(cloud: Cloud, load_identity: Load) -> None:
    async with RunningLink(cloud.url, load_identity) as agent:
        state = await agent.connected()
        await cloud.wait_agent(AGENT)
        beat = await cloud.next_heartbeat(AGENT)
    assert state.agent_id == AGENT
    assert state.certificate_end is not None
    assert beat == {"agent_id": AGENT, "status": "online"}


async def test_a_command_is_answered_by_its_acknowledgement(cloud: Cloud, load_identity: Load) -> None:
    async with RunningLink(cloud.url, load_identity):
        await cloud.wait_agent(AGENT)
        answer = await cloud.send(AGENT, "get_host_interfaces", {"correlation_id": 7})
    assert answer == {"action": "get_host_interfaces", "correlation_id": 7, "arguments": [{"correlation_id": 7}]}


async def test_the_link_reconnects_after_a_restart_of_the_cloud(cloud: Cloud, load_identity: Load) -> None:
    async with RunningLink(cloud.url, load_identity) as agent:
        await agent.connected()
        await cloud.stop()
        await agent.until(lambda state: not state.connected)
        await cloud.start()
        await agent.connected(times=2)
        await cloud.wait_agent(AGENT)


async def test_the_link_reconnects_after_the_cloud_disconnects_it(cloud: Cloud, load_identity: Load) -> None:
    async with RunningLink(cloud.url, load_identity) as agent:
        await agent.connected()
        await cloud.wait_agent(AGENT)
        await cloud.drop(AGENT)
        await agent.connected(times=2)
    assert "the cloud closed it" in str([state.last_error for state in agent.states])


async def test_a_disconnection_right_after_connecting_is_detected(wire: WireCloud, load_wire_identity: Load) -> None:
    wire.after_connect = ["41"]
    async with RunningLink(wire.url, load_wire_identity) as agent:
        await agent.until(lambda state: len(wire.sockets) >= 3)


async def test_a_cloud_may_take_two_seconds_to_accept(
    cloud: Cloud, load_identity: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []
    accept = cloud._on_connect

    async def slowly(sid: str, environ: dict[str, Any]) -> bool:
        attempts.append(sid)
        await asyncio.sleep(2)
        return await accept(sid, environ)

    await cloud.stop()
    monkeypatch.setattr(cloud, "_on_connect", slowly)
    await cloud.start()
    async with RunningLink(cloud.url, load_identity) as agent:
        await agent.connected()
        await cloud.next_heartbeat(AGENT)
    assert len(attempts) == 1


async def test_the_identity_is_reloaded_for_each_connection(cloud: Cloud, enrolled: Path, load_identity: Load) -> None:
    async with RunningLink(cloud.url, load_identity) as agent:
        await agent.connected()
        other = await cloud.enroll("07048934")
        for name in ("client.crt", "client.key"):
            shutil.copy(other / name, enrolled / name)
        await cloud.wait_agent(AGENT)
        await cloud.drop(AGENT)
        await cloud.wait_agent("07048934")
        assert agent.link.state.agent_id == "07048934"


async def test_the_link_stays_down_until_the_files_exist(cloud: Cloud, tmp_path: Path) -> None:
    folder = tmp_path / "mtls"
    async with RunningLink(cloud.url, identity_in(folder)) as agent:
        assert "client.crt is missing" in await agent.failed()
        await cloud.enroll(AGENT, folder)
        state = await agent.connected()
    assert state.last_error is None


async def test_a_late_answer_is_not_sent_on_the_next_connection(cloud: Cloud, load_identity: Load) -> None:
    gates = {"old": asyncio.Event(), "new": asyncio.Event()}
    begun: asyncio.Queue[str] = asyncio.Queue()
    ended: asyncio.Queue[str] = asyncio.Queue()

    async def gated(event: str, arguments: list[Any]) -> dict[str, Any]:
        begun.put_nowait(event)
        await gates[event].wait()
        ended.put_nowait(event)
        return await echo(event, arguments)

    async with RunningLink(cloud.url, load_identity, gated) as agent:
        await cloud.wait_agent(AGENT)
        old = asyncio.create_task(cloud.send(AGENT, "old", {}))
        assert await begun.get() == "old"
        await cloud.drop(AGENT)
        with pytest.raises(Exception, match="disconnected before it answered"):
            await old
        await agent.connected(times=2)
        await cloud.wait_agent(AGENT)
        new = asyncio.create_task(cloud.send(AGENT, "new", {}))
        assert await begun.get() == "new"
        gates["old"].set()
        assert await ended.get() == "old"  # a command continues when the link drops
        gates["new"].set()
        assert (await new)["action"] == "new"


async def test_commands_beyond_the_limit_are_refused_as_busy(wire: WireCloud, load_wire_identity: Load) -> None:
    gate = asyncio.Event()

    async def gated(event: str, arguments: list[Any]) -> dict[str, Any]:
        await gate.wait()
        return await echo(event, arguments)

    async with RunningLink(wire.url, load_wire_identity, FakeDispatcher(gated, max_in_flight=2)) as agent:
        await agent.connected()
        await wire.send('421["a",{}]', '422["b",{}]', '423["c",{"correlation_id":5}]')
        (refusal,) = await wire.acknowledgement(3)
        assert refusal["status"] == "error"
        assert "busy" in refusal["error"]
        assert refusal["correlation_id"] == 5
        gate.set()
        assert {(await wire.packet("43"))[0], (await wire.packet("43"))[0]} == {"1", "2"}


async def test_stop_closes_the_connection_and_ends_run(cloud: Cloud, load_identity: Load) -> None:
    async with RunningLink(cloud.url, load_identity) as agent:
        await agent.connected()
        session = await cloud.wait_agent(AGENT)
        await agent.link.stop()
        await asyncio.wait_for(session.gone.wait(), 30)
    assert agent._task.done()
    assert not agent.link.state.connected


async def test_stop_ends_a_link_that_connects_at_the_same_moment(
    cloud: Cloud, load_identity: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting, connect = asyncio.Event(), socketio.AsyncClient.connect

    async def swallow_cancellation(*arguments: Any, **named: Any) -> None:
        await connect(*arguments, **named)
        connecting.set()
        with contextlib.suppress(asyncio.CancelledError):  # as asyncio.wait_for does when it has its result
            await asyncio.Event().wait()

    monkeypatch.setattr(socketio.AsyncClient, "connect", swallow_cancellation)
    async with RunningLink(cloud.url, load_identity) as agent:
        await connecting.wait()
        await asyncio.wait_for(agent.link.stop(), 10)
        assert not agent.link.state.connected


async def test_stop_cancels_a_connection_attempt(certificates: Authority, load_wire_identity: Load) -> None:
    accepted = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with RunningLink(url, load_wire_identity, connect_seconds=60) as agent:
            await accepted.wait()
            await agent.link.stop()
            assert agent._task.done()


async def test_each_cause_is_logged_once(cloud: Cloud, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "mtls"
    with caplog.at_level(logging.INFO, logger="controller.cloud.link"):
        async with RunningLink(cloud.url, identity_in(folder)) as agent:
            await agent.until(lambda state: state.attempts >= 3)
            folder.mkdir()
            (folder / "client.crt").write_text("damaged")
            await agent.until(lambda state: "PEM" in str(state.last_error) and state.attempts >= 6)
            issued = await cloud.enroll(AGENT, tmp_path / "issued")
            for name in ("ca.crt", "client.key", "client.crt"):  # the damaged file last
                (issued / name).replace(folder / name)
            await agent.connected()
    logged = [record.getMessage() for record in caplog.records]
    assert [next(w for w in ("missing", "PEM", "Connected") if w in line) for line in logged] == [
        "missing",
        "PEM",
        "Connected",
    ]
