"""Several Runtimes with one deviceId, and passes over them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from controller import names
from controller.api import kinds, reasons
from controller.runtimes.keys import Key
from controller.runtimes.reconciler import Result
from tests.runtimes.world import SPEC, World


@dataclass
class Cell:
    """Runtimes a, b, ... with one deviceId, and the nodes that look at them."""

    world: World = field(default_factory=World)

    async def add(self, name: str, **spec: Any) -> None:
        metadata = {"name": name, "namespace": "edge", "finalizers": [names.FINALIZER]}
        await self.world.api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": SPEC | spec})

    async def look(self, name: str, world: World | None = None) -> Result:
        """One pass; what has ended is taken away, as the operator does."""
        result = await (world or self.world).reconciler.reconcile(Key("edge", name), asyncio.Event())
        found = self.world.api.objects.get((kinds.RUNTIMES.plural, "edge", name))
        if found and found["metadata"].get("deletionTimestamp") and result.settled:
            self.world.api.remove(kinds.RUNTIMES, name, "edge")
        return result

    async def delete(self, name: str, world: World | None = None) -> Result:
        await self.world.api.delete(kinds.RUNTIMES, name, "edge")
        return await self.look(name, world)

    def body(self, name: str) -> dict[str, Any]:
        return self.world.api.objects[kinds.RUNTIMES.plural, "edge", name]

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition."""
        found = self.body(name).get("status", {}).get("conditions", ())
        return {condition["type"]: (condition["status"], condition["reason"]) for condition in found}

    def stalled(self, name: str) -> bool:
        return self.conditions(name)["Stalled"] == ("True", reasons.DEVICE_ID_TAKEN)

    def lose_claims(self) -> None:
        """As 0.1 left them, or a tool that replaced the whole object."""
        for (plural, _, _), found in self.world.api.objects.items():
            if plural == kinds.RUNTIMES.plural:
                found["metadata"].get("annotations", {}).pop(names.CLAIM, None)
