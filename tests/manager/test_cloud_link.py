"""The process's cloud link, and what runs without one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from controller import settings
from controller.api import kinds
from controller.cloud.commands import journal
from controller.manager.cloud_link import CloudLinkManager
from tests.support.command_harness import NAMESPACE
from tests.support.fake_api import FakeApi

UNUSED: Any = None  # for arguments that these tests do not use


class RetirementStore:
    """A retirement store in memory."""

    def __init__(self, retired: bool) -> None:
        self._retired = retired

    async def retired(self) -> bool:
        return self._retired

    async def retire(self) -> None:
        self._retired = True


@pytest.mark.parametrize(("url", "retired"), [("", False), ("https://cloud.test", True)], ids=["no cloud", "retired"])
async def test_old_commands_are_removed_without_a_link(
    monkeypatch: pytest.MonkeyPatch, url: str, retired: bool
) -> None:
    monkeypatch.setattr(journal, "MAX_COUNT", 0)
    api, tasks = FakeApi(), []
    spec = {"topic": "stop_device", "receivedAt": "2026-01-01T00:00:00.000000Z", "sequence": 1}
    body = {"metadata": {"name": "old", "namespace": NAMESPACE}, "spec": spec, "status": {"outcome": "Succeeded"}}
    await api.create(kinds.RUNTIME_COMMANDS, body)
    async with AsyncExitStack() as stack:
        site: Any = SimpleNamespace(
            settings=settings.load({"cloud_url": url}, {}, None),
            supervisor=SimpleNamespace(start=lambda name, run: tasks.append(asyncio.create_task(run()))),
            stack=stack,
            embedded=True,
        )
        cloud_link = CloudLinkManager(site, api, UNUSED, RetirementStore(retired), UNUSED)
        await cloud_link.open(site, UNUSED, UNUSED, UNUSED)
        await api.until(lambda: not api.objects)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
