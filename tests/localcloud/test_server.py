"""The local cloud's connections, heartbeats and messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from controller.errors import LinkError, SettingError
from controller.localcloud.server import Cloud
from tests.support.links import RunningLink, echo, identity_in

AGENT = "07048933"


@pytest.fixture
async def connect(cloud: Cloud) -> Callable[..., Awaitable[RunningLink]]:
    """A factory of agents (async context managers) by name."""

    async def make(name: str, dispatch: Any = echo) -> RunningLink:
        return RunningLink(cloud.url, identity_in(await cloud.enroll(name)), dispatch)

    return make


async def test_agents_are_addressed_by_name(cloud: Cloud, connect: Any) -> None:
    async with await connect("a"), await connect("b"):
        await cloud.wait_agent("a")
        await cloud.wait_agent("b")
        assert [agent.common_name for agent in cloud.connected()] == ["a", "b"]
        assert (await cloud.next_heartbeat("b"))["agent_id"] == "b"
        assert (await cloud.send("a", "topic", {"correlation_id": 1}))["correlation_id"] == 1


async def test_heartbeats_are_kept_with_their_time_of_arrival(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "cloud", clock=lambda: 1000.0)
    await cloud.start()
    async with RunningLink(cloud.url, identity_in(await cloud.enroll(AGENT))):
        await cloud.next_heartbeat(AGENT)
    await cloud.stop()
    assert cloud.received(AGENT)[0] == (1000.0, {"agent_id": AGENT, "status": "online"})


async def test_a_new_connection_replaces_an_agents_older_one(cloud: Cloud, connect: Any) -> None:
    async with await connect(AGENT):
        older = await cloud.wait_agent(AGENT)
        newer = identity_in(cloud.directory / "agents" / AGENT)
        async with RunningLink(cloud.url, newer):
            await asyncio.wait_for(older.gone.wait(), 30)
            assert (await cloud.wait_agent(AGENT)).sid != older.sid


async def test_sending_to_a_disconnected_or_silent_agent_fails(cloud: Cloud, connect: Any) -> None:
    async def never(event: str, arguments: list[Any]) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(LinkError, match="agent 07048933 is not connected"):
        await cloud.send(AGENT, "topic", {})
    async with await connect(AGENT, never):
        await cloud.wait_agent(AGENT)
        with pytest.raises(LinkError, match=r"did not answer within 0\.01 s"):
            await cloud.send(AGENT, "topic", {}, timeout=0.01)
        waiting = asyncio.create_task(cloud.send(AGENT, "topic", {}))
        await cloud.next_heartbeat(AGENT)
        await cloud.drop(AGENT)
        with pytest.raises(LinkError, match="disconnected before it answered"):
            await waiting


async def test_waiting_for_an_agent_or_a_heartbeat_times_out(cloud: Cloud) -> None:
    with pytest.raises(LinkError, match="agent x did not connect within"):
        await cloud.wait_agent("x", timeout=0.01)
    with pytest.raises(LinkError, match="agent x sent no heartbeat within"):
        await cloud.next_heartbeat("x", timeout=0.01)


async def test_it_keeps_its_port_and_its_agents_across_a_restart(cloud: Cloud, connect: Any) -> None:
    async with await connect(AGENT) as agent:
        await cloud.wait_agent(AGENT)
        url = cloud.url
        await cloud.stop()
        assert not cloud.connected()
        await cloud.start()
        assert cloud.url == url
        await cloud.wait_agent(AGENT)
        assert agent.connections >= 1


async def test_an_address_in_use_is_reported_with_the_remedy(cloud: Cloud, tmp_path: Path) -> None:
    second = Cloud(tmp_path / "second", port=cloud.port)
    with pytest.raises(SettingError, match=f"cannot listen on 127.0.0.1:{cloud.port}: .*choose another --listen"):
        await second.start()
