"""The link role: what it runs with and without a cloud, and the end of the link with delete_orchestrator."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from controller.api import kinds
from controller.cloud.commands import journal
from controller.cloud.link import LinkState
from controller.manager import link
from tests.manager.environments import environment
from tests.support.command_harness import NAMESPACE
from tests.support.direct_api import DirectApi


async def test_with_a_cloud_the_link_is_shown_as_connecting(direct_api: DirectApi, tmp_path: Path) -> None:
    env = environment(tmp_path, direct_api, {"cloud_url": "https://cloud.test"})
    made = await link.build(env)
    assert made.link is not None
    shown = env.link_status.current()
    assert (shown.reason, shown.message) == ("Disconnected", "Connecting for the first time")


@pytest.mark.parametrize(
    ("url", "retired", "reason"),
    [("", False, "NoCloud"), ("https://cloud.test", True, "Retired")],
    ids=["no cloud", "retired"],
)
async def test_old_commands_are_removed_without_a_link(
    direct_api: DirectApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, retired: bool, reason: str
) -> None:
    monkeypatch.setattr(journal, "MAX_COUNT", 0)
    spec = {"topic": "stop_device", "receivedAt": "2026-01-01T00:00:00.000000Z", "sequence": 1}
    done = {"status": {"outcome": "Succeeded"}}
    await direct_api.create(kinds.RUNTIME_COMMANDS, {"metadata": {"name": "old", "namespace": NAMESPACE}, "spec": spec})
    await direct_api.patch(kinds.RUNTIME_COMMANDS, "old", NAMESPACE, done, subresource="status")
    env = environment(tmp_path, direct_api, {"cloud_url": url}, retired=retired)
    made = await link.build(env)
    assert made.link is None
    assert env.link_status.current().reason == reason
    pruning = asyncio.ensure_future(made.journal.controller.run())
    await direct_api.until(lambda: not direct_api.objects)
    pruning.cancel()
    await made.stop()


@pytest.mark.parametrize(
    ("api", "others_remain", "ends"),
    [("embedded", False, True), ("embedded", True, False), ("cluster", False, False)],
)
async def test_a_retired_agent_ends_its_process_if_nothing_is_left(
    direct_api: DirectApi, tmp_path: Path, api: str, others_remain: bool, ends: bool
) -> None:
    env = environment(tmp_path, direct_api, {"cloud_url": "https://cloud.test", "api": api})
    made = await link.build(env)
    await made._retire()
    await made._shut_down(others_remain)
    assert await env.installation.retirement_store.retired()
    assert env.link_status.current().reason == "Retired"
    assert env.shutdown.forget is ends


async def test_a_link_without_nodes_is_a_mistake_in_the_table(direct_api: DirectApi, tmp_path: Path) -> None:
    env = environment(tmp_path, direct_api, {})
    with pytest.raises(RuntimeError, match="needs nodes"):
        await link.build(replace(env, nodes=None))


async def test_metrics_and_systemd_hear_when_the_link_comes_up_and_goes_down(
    direct_api: DirectApi, tmp_path: Path
) -> None:
    env = environment(tmp_path, direct_api, {"cloud_url": "https://cloud.test"})
    made = await link.build(env)
    for state in (LinkState(attempts=1), LinkState(connected_since=1.0), LinkState(connected_since=1.0), LinkState()):
        made._observe(state)
    lines = env.metrics.render().decode().splitlines()
    assert {"edge_cloud_connected 0.0", "edge_cloud_connects_total 1.0"} <= set(lines)
