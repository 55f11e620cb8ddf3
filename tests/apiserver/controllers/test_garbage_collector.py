"""Garbage collection continues after a crash."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from controller.apiserver.controllers import seed
from controller.apiserver.controllers.garbage_collector import GarbageCollector
from controller.apiserver.kinds.core import CONFIG_MAPS, CORE
from controller.apiserver.kinds.resources import Registry
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs

PLACE = ResourceRef(CONFIG_MAPS, "edge")


async def make(store: Store, name: str, **metadata: Any) -> dict[str, Any]:
    """Create an object and return an owner reference to it."""
    made = await Verbs(store).create(PLACE, {"metadata": {"name": name, **metadata}}, WriteOptions())
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made.object["metadata"]["uid"]}


async def test_a_restart_finishes_what_a_crash_interrupted(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.db")
    await store.open()
    await seed.create_defaults(store, ("edge", "default"), [])
    gone, waiting, orphaning = [await make(store, name) for name in ("gone", "waiting", "orphaning")]
    await make(store, "left", ownerReferences=[gone])
    await make(store, "blocking", ownerReferences=[{**waiting, "blockOwnerDeletion": True}])
    await make(store, "orphan", ownerReferences=[orphaning])
    for name, policy in (("gone", "Background"), ("waiting", "Foreground"), ("orphaning", "Orphan")):
        # No collector is running: as if the process crashed right after this write.
        await Verbs(store).delete(PLACE._replace(name=name), Deletion(policy=policy), WriteOptions())
    await store.close()

    store = Store(tmp_path / "objects.db")
    await store.open()
    changes = store.subscribe(lambda change: change)
    collecting = asyncio.create_task(GarbageCollector(store, Registry(CORE)).controller.run())
    async with asyncio.timeout(30):
        while len(left := store.select(CONFIG_MAPS.key, "edge")) > 1:
            await changes.queue.get()
    assert [(item["metadata"]["name"], item["metadata"].get("ownerReferences")) for item in left] == [("orphan", None)]
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    await store.close()
