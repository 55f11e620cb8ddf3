"""Several Runtimes that share one deviceId."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller import names
from controller.api import kinds, reasons
from controller.runtimes.keys import Key
from controller.runtimes.result import Result
from tests.runtimes.harness import SPEC, Harness


@dataclass
class SharedDevice:
    """Runtimes a, b, ... with one deviceId, reconciled by one or more nodes."""

    harness: Harness

    async def add(self, name: str, **spec: Any) -> None:
        metadata = {"name": name, "namespace": "edge", "finalizers": [names.FINALIZER]}
        await self.harness.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC | spec})

    async def reconcile(self, name: str, harness: Harness | None = None) -> Result:
        """Run one pass and, as the operator does, remove the object once its deletion is settled."""
        result = await (harness or self.harness).reconciler.reconcile(Key("edge", name), asyncio.Event())
        found = self.harness.api.objects.get((kinds.RUNTIMES.plural, "edge", name))
        if found and found["metadata"].get("deletionTimestamp") and result.settled:
            await self.harness.api.remove(kinds.RUNTIMES, name, "edge")
        return result

    async def delete(self, name: str, harness: Harness | None = None) -> Result:
        await self.harness.api.delete(kinds.RUNTIMES, name, "edge")
        return await self.reconcile(name, harness)

    def body(self, name: str) -> dict[str, Any]:
        return self.harness.api.objects[kinds.RUNTIMES.plural, "edge", name]

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition by type."""
        found = self.body(name).get("status", {}).get("conditions", ())
        return {condition["type"]: (condition["status"], condition["reason"]) for condition in found}

    def stalled(self, name: str) -> bool:
        return self.conditions(name)["Stalled"] == ("True", reasons.DEVICE_ID_TAKEN)

    async def edit(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the stored Runtime, as another version or tool left it."""
        await self.harness.api.edit(kinds.RUNTIMES, name, "edge", change)

    async def lose_claims(self) -> None:
        """Remove all claims, as version 0.1 or a tool that replaces whole objects leaves the Runtimes."""
        for plural, _, name in self.harness.api.objects:
            if plural == kinds.RUNTIMES.plural:
                await self.edit(name, lambda body: body["metadata"].get("annotations", {}).pop(names.CLAIM, None))
