"""The table of roles: which roles run where, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller import settings
from controller.manager import roles
from controller.manager.environment import Environment
from controller.manager.roles import Lifetime, Part, Role
from tests.manager.environments import environment
from tests.support.direct_api import DirectApi


@pytest.mark.parametrize(
    ("flags", "lifetime", "chosen"),
    [
        ({}, "process", ["node", "link"]),
        ({}, "term", []),
        ({"api": "cluster", "roles": "link,pods"}, "process", []),
        ({"api": "cluster", "roles": "link,pods"}, "term", ["leader", "pods", "link"]),
        ({"api": "cluster", "roles": "pods"}, "term", ["leader", "pods"]),
        ({"api": "cluster", "roles": "node"}, "process", ["node"]),
        ({"api": "cluster", "roles": "node"}, "term", []),
        ({"api": "cluster", "roles": "node,link"}, "process", ["node"]),
        ({"api": "cluster", "roles": "node,link"}, "term", ["leader", "link"]),
    ],
)
def test_the_roles_of_a_process_and_of_a_term(flags: dict[str, Any], lifetime: Lifetime, chosen: list[str]) -> None:
    assert [row.name for row in roles.chosen(settings.load(flags, {}, None), lifetime)] == chosen


def test_every_value_of_edge_roles_has_a_row() -> None:
    whole = settings.load({"api": "cluster", "roles": "link,pods,node"}, {}, None)
    rows = [*roles.chosen(whole, "process"), *roles.chosen(whole, "term")]
    assert {row.name for row in rows} == {*whole.roles, "leader"}
    assert {row.name for row in roles.TABLE} == set(whole.roles)


class Recorder:
    """Builds roles that record what happens to them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.running = asyncio.Event()

    def role(self, name: str, **part: Any) -> Role:
        async def run() -> None:
            self.log.append(f"{name} runs")
            self.running.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.log.append(f"{name} is cancelled")

        async def stop() -> None:
            self.log.append(f"{name} stops")

        async def build(env: Environment) -> Part:
            self.log.append(f"{name} is built{' with nodes' if env.nodes else ''}")
            env.stack.callback(self.log.append, f"{name} is closed")
            return Part({name: run}, stop=stop, **part)

        return Role(name, build, standalone="process", cluster="process")


@pytest.fixture
def env(direct_api: DirectApi, tmp_path: Path) -> Environment:
    return replace(environment(tmp_path, direct_api, {}), nodes=None)


async def test_all_roles_are_built_before_the_first_runs_and_stop_in_reverse_order(env: Environment) -> None:
    recorder = Recorder()
    async with env.stack:
        await roles.start([recorder.role("a"), recorder.role("b")], env)
        await recorder.running.wait()
    assert recorder.log == [
        *("a is built", "b is built", "a runs", "b runs"),
        *("b stops", "a stops", "a is cancelled", "b is cancelled", "b is closed", "a is closed"),
    ]


async def test_the_loop_runs_while_the_module_of_a_role_is_imported(
    env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_ran = threading.Event()
    (tmp_path / "slow_role.py").write_text("import slow_role_gate\nassert slow_role_gate.wait(30)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "slow_role_gate", loop_ran)
    monkeypatch.setitem(sys.modules, "slow_role", None)  # so that it is removed at the end
    monkeypatch.delitem(sys.modules, "slow_role")
    asyncio.get_running_loop().call_soon(loop_ran.set)
    async with env.stack:
        await roles.start([Recorder().role("a")._replace(module="slow_role")], env)


async def test_a_role_gets_the_nodes_of_a_role_above_it(
    direct_api: DirectApi, tmp_path: Path, env: Environment
) -> None:
    recorder, nodes = Recorder(), environment(tmp_path, direct_api, {}).nodes
    async with env.stack:
        await roles.start([recorder.role("a"), recorder.role("b", nodes=nodes), recorder.role("c")], env)
    assert recorder.log[:3] == ["a is built", "b is built", "c is built with nodes"]


async def test_a_role_that_cannot_be_built_closes_those_before_it(env: Environment) -> None:
    recorder = Recorder()

    async def fail(_: Environment) -> Part:
        raise OSError("port in use")

    async with env.stack:
        with pytest.raises(OSError, match="port in use"):
            await roles.start([recorder.role("a"), Role("b", fail, "process", "process")], env)
    assert recorder.log == ["a is built", "a is closed"]


async def test_the_checks_of_all_roles_are_returned_in_their_order(env: Environment) -> None:
    async def ready() -> None:
        return None

    recorder = Recorder()
    rows = [recorder.role("a", checks={"api": ready}), recorder.role("b", checks={"docker": ready, "disk": ready})]
    async with env.stack:
        assert list(await roles.start(rows, env)) == ["api", "docker", "disk"]


async def test_a_loop_is_watched_until_its_role_ends(env: Environment) -> None:
    async with env.stack:
        env.beat("the loop", -1.0)
        assert [line.split(" has")[0] for line in env.liveness.stale()] == ["the loop"]
    assert env.liveness.stale() == []
