"""Delete objects some time after their last write: Events, and Leases that are no longer renewed.

Measures from when a sweep first saw the write, by the monotonic clock: the timestamps in objects come from clocks that
jump. A restart of the server restarts the time of each object.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from controller.apiserver import failures
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Key, Store
from controller.apiserver.verbs.writing import ResourceRef, Verbs


class _LastWrite(NamedTuple):
    """The last write of an object and when a sweep first saw it."""

    version: str
    at: float


class Expiry:
    """``elapsed`` is monotonic, in seconds. Sweep regularly: a write counts from the first sweep that sees it."""

    def __init__(self, store: Store, elapsed: Callable[[], float]) -> None:
        self._store = store
        self._elapsed = elapsed
        self._last_writes: dict[Key, _LastWrite] = {}

    async def sweep(self) -> None:
        """Record writes since the last sweep and delete expired objects."""
        verbs, before, self._last_writes = Verbs(self._store), self._last_writes, {}
        for resource in (kind for kind in CORE if kind.expires and not kind.storage):
            for ref, last_write in self._last_seen(resource, before):
                if self._elapsed() - last_write.at <= resource.expires:
                    self._last_writes[ref.key] = last_write
                    continue
                with contextlib.suppress(failures.NotFound):
                    await verbs.delete(ref, Deletion(), WriteOptions())

    def _last_seen(self, resource: Resource, before: dict[Key, _LastWrite]) -> list[tuple[ResourceRef, _LastWrite]]:
        found = []
        for item in self._store.select(resource.key, ""):
            metadata = item["metadata"]
            ref = ResourceRef(resource, metadata["namespace"], metadata["name"])
            last_write = _LastWrite(metadata["resourceVersion"], self._elapsed())
            known = before.get(ref.key)
            found.append((ref, known if known and known.version == last_write.version else last_write))
        return found
