"""Events and leases go by themselves an hour after they were last renewed: a box that runs for years stays small."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from controller.apiserver import tables
from controller.apiserver.resources import CORE, Object, Resource
from controller.apiserver.store import Store
from controller.apiserver.verbs import Verbs

ROUND_SECONDS = 60


async def run(store: Store, verbs: Verbs) -> None:
    """Remove what expired, round after round, for ever."""
    while True:
        await asyncio.sleep(ROUND_SECONDS)
        await sweep(store, verbs, datetime.now(UTC))


async def sweep(store: Store, verbs: Verbs, now: datetime) -> None:
    """Remove what had expired by ``now``."""
    for resource in CORE:
        if resource.expires and not resource.storage:
            for item in store.select(resource.key, ""):
                if (now - _renewed(resource, item)).total_seconds() > resource.expires:
                    metadata = item["metadata"]
                    await verbs.delete(resource, metadata["namespace"], metadata["name"], {}, dry=False)


def _renewed(resource: Resource, item: Object) -> datetime:
    found = [time for time in tables.read(item, resource.renewed) if time] if resource.renewed else []
    return datetime.fromisoformat(found[0] if found else item["metadata"]["creationTimestamp"])
