"""A reconciler with an API and a backend in memory, and a clock that the test sets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller import names
from controller.api import kinds
from controller.api.served_namespaces import EVERYWHERE, ServedNamespaces
from controller.backends import base
from controller.boottime import Boot
from controller.machinery import kinds as core_kinds
from controller.machinery.event_recorder import EventRecorder
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.reconcile_context import ReconcilerDependencies
from controller.runtimes.reconciler import Reconciler
from controller.runtimes.restart_context import EngineContact
from controller.runtimes.result import Result
from controller.runtimes.scope import Scope
from tests.support.direct_api import DirectApi
from tests.support.fake_backend import FakeBackend

KEY = Key("edge", "plc-1")
IDENTITY = base.Identity("install", "edge", "plc-1")
LAN = {
    "name": "lan0",
    "parentInterface": "eth0",
    "mode": "Static",
    "address": "10.0.0.5",
    "subnet": "10.0.0.0/24",
}
NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
SPEC = {
    "deviceId": "plc-1",
    "nodeName": "node-1",
    "backend": "Docker",
    "image": "registry/plc",
    "version": "1",
    "interfaces": [LAN],
}


@dataclass
class Harness:
    """A reconciler and its fakes. ``restart_controller`` drops all state outside the API and the backend."""

    api: DirectApi
    now: float = NOON
    booted_at: float = NOON - 3600
    boot_id: str = "first"
    claims: bool = True
    node: str = "node-1"
    image_prefixes: tuple[str, ...] = ()
    namespaces: ServedNamespaces = EVERYWHERE
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.backend = FakeBackend(clock=self.clock, elapsed=self.elapsed)
        self.restart_controller()

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    def elapsed(self) -> float:
        return self.clock() - self.booted_at

    def set_clock(self, now: float) -> None:
        """Set the wall clock; no time passes."""
        self.booted_at += now - self.now
        self.now = now

    def boot_host(self) -> None:
        """Reboot the host, which restarts the controller."""
        self.booted_at, self.boot_id = self.now, f"{self.boot_id}, again"
        self.restart_controller()

    def restart_controller(self) -> None:
        self.index = KeyIndex()
        self.engine = EngineContact()
        self.recorder = EventRecorder(self.api, "node-1", self.clock, self.elapsed)
        dependencies = ReconcilerDependencies(
            api=self.api,
            backend=self.backend,
            node=self.node,
            image_prefixes=self.image_prefixes,
            clock=self.clock,
            boot=Boot(self.boot_id, self.elapsed),
            engine=self.engine,
        )
        scope = Scope("Docker", self.node, claims=self.claims, namespaces=self.namespaces)
        self.reconciler = Reconciler(dependencies, "install", self.recorder, self.index, scope)

    async def create(self, **spec: Any) -> None:
        """Create a Runtime as the cloud does."""
        metadata = {"name": KEY.name, "namespace": KEY.namespace, "finalizers": [names.FINALIZER]}
        await self.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC | spec})

    async def change(self, **spec: Any) -> None:
        await self.api.patch(kinds.RUNTIMES, KEY.name, KEY.namespace, {"spec": spec})

    async def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the stored Runtime, as another version or tool left it."""
        await self.api.edit(kinds.RUNTIMES, KEY.name, KEY.namespace, change)

    async def delete(self) -> None:
        await self.api.delete(kinds.RUNTIMES, KEY.name, KEY.namespace)

    async def reconcile(self) -> Result:
        return await self.reconciler.reconcile(KEY, self.interrupted)

    def object(self) -> dict[str, Any]:
        return self.api.objects[kinds.RUNTIMES.plural, KEY.namespace, KEY.name]

    def status(self) -> dict[str, Any]:
        return self.object().get("status") or {}

    def condition(self, kind: str) -> dict[str, Any]:
        return next((c for c in self.status().get("conditions", []) if c["type"] == kind), {})

    def summary(self) -> dict[str, str]:
        """The status of each condition by type."""
        return {c["type"]: c["status"] for c in self.status().get("conditions", [])}

    def records(self) -> list[tuple[str, str, str]]:
        """Event, cause and detail of each record except the first start."""
        first, *others = self.status()["restarts"]
        assert (first["event"], first["cause"]) == ("Started", "Created")
        return [(record["event"], record["cause"], record["detail"]) for record in others]

    def status_writes(self) -> int:
        return self.api.requests.count(("patch", kinds.RUNTIMES.plural))

    async def events(self) -> list[tuple[str, str]]:
        """Type and reason of the events recorded so far; a repeated event appears repeatedly."""
        posting = asyncio.create_task(self.recorder.controller.run())
        await self.recorder.flush()
        posting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await posting
        found = [o for (plural, _, _), o in self.api.objects.items() if plural == core_kinds.EVENTS.plural]
        found.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [(event["type"], event["reason"]) for event in found for _ in range(event["count"])]
