"""Objects that go by themselves some time after their last sign of life: events, and leases that nobody renews."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from controller.apiserver import failures, times
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects import tables
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.write_options import WriteOptions
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.writing import Place, Verbs

Object = dict[str, Any]


async def sweep(store: Store, clock: Callable[[], float]) -> None:
    """Delete what has expired."""
    verbs = Verbs(store)
    for resource in (kind for kind in CORE if kind.expires and not kind.storage):
        deadline = clock() - resource.expires
        for item in store.select(resource.key, ""):
            metadata = item["metadata"]
            if _last_sign(resource, item).timestamp() < deadline:
                with contextlib.suppress(failures.NotFound):
                    await verbs.delete(
                        Place(resource, metadata["namespace"], metadata["name"]), Deletion(), WriteOptions()
                    )


def _last_sign(resource: Resource, item: Object) -> datetime:
    told = [text for path in (".metadata.creationTimestamp", *resource.renewed) for text in tables.read(item, path)]
    return max((time for text in told if (time := times.parse(text))), default=datetime.now(UTC))
