"""The Kubernetes API in memory, in place of machinery.client.ApiClient, for tests that inject faults.

Supports resourceVersion, generation, uid, finalizers and the status subresource; validates nothing. The unsupported
verbs (``replace``, ``text``) fail as if the server were unreachable.
"""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from controller import errors
from controller.machinery.client import ApiClient, Listing, Patch, WatchEvent
from controller.machinery.endpoint import Endpoint
from controller.machinery.kinds import Kind

Key = tuple[str, str, str]


class FakeApi(ApiClient):
    """``fault`` is called before every verb with its name and kind; its exceptions propagate to the caller."""

    def __init__(self) -> None:
        super().__init__(Endpoint("memory:"))
        self.objects: dict[Key, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.fault: Callable[[str, Kind], None] = lambda verb, kind: None
        self._revision = 0
        self._activity = asyncio.Event()
        self._history: list[tuple[Key, WatchEvent]] = []
        self._watchers: set[asyncio.Queue[tuple[Key, WatchEvent] | None]] = set()

    async def get(self, kind: Kind, name: str, namespace: str = "") -> dict[str, Any]:
        await self._begin("get", kind)
        return copy.deepcopy(self._find(kind, namespace, name))

    async def snapshot(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Listing:
        await self._begin("list", kind)
        found = [o for (plural, ns, _), o in self.objects.items() if plural == kind.plural and namespace in ("", ns)]
        chosen = [o for o in found if _labelled(o, label_selector) and _selected(o, field_selector)]
        return Listing(copy.deepcopy(chosen), str(self._revision))

    async def create(self, kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
        await self._begin("create", kind)
        metadata = body["metadata"]
        key = (kind.plural, metadata.get("namespace", ""), metadata["name"])
        if key in self.objects:
            raise errors.AlreadyExistsError(f"{kind.plural} {metadata['name']!r} already exists", code=409)
        whole = copy.deepcopy(body)
        whole["metadata"] |= {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
        whole["metadata"].setdefault("managedFields", [])
        return self._store(key, whole, "ADDED")

    async def patch(
        self, kind: Kind, name: str, namespace: str, patch: Patch, *, subresource: str = ""
    ) -> dict[str, Any]:
        await self._begin("patch", kind)
        assert isinstance(patch, dict), "it takes merge patches only"
        before = self._find(kind, namespace, name)
        after = _merged(copy.deepcopy(before), {"status": patch["status"]} if subresource else patch)
        if after.get("spec") != before.get("spec"):
            after["metadata"]["generation"] += 1
        return self._store((kind.plural, namespace, name), after, "MODIFIED")

    async def delete(self, kind: Kind, name: str, namespace: str = "", *, uid: str = "") -> None:
        await self._begin("delete", kind)
        try:
            found = self._find(kind, namespace, name)
        except errors.NotFoundError:
            return
        if uid and found["metadata"]["uid"] != uid:
            raise errors.ConflictError("the uid in the precondition is another one", code=409)
        if found["metadata"].get("finalizers"):
            found["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
            self._store((kind.plural, namespace, name), found, "MODIFIED")
        else:
            self.remove(kind, name, namespace)

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent]:
        await self._begin("watch", kind)
        queue: asyncio.Queue[tuple[Key, WatchEvent] | None] = asyncio.Queue()
        for missed in self._missed(int(resource_version)) if resource_version else self._present():
            queue.put_nowait(missed)
        self._watchers.add(queue)
        try:
            while (item := await queue.get()) is not None:
                (plural, ns, _), event = item
                chosen = _labelled(event.object, label_selector) and _selected(event.object, field_selector)
                if plural == kind.plural and namespace in ("", ns) and chosen:
                    yield event
        finally:
            self._watchers.discard(queue)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds that requests change."""
        while not holds():
            self._activity.clear()
            await self._activity.wait()

    def end_watches(self) -> None:
        """End every watch, as a server does from time to time."""
        for queue in self._watchers:
            queue.put_nowait(None)

    def remove(self, kind: Kind, name: str, namespace: str) -> None:
        """Remove an object at once, regardless of finalizers."""
        key = (kind.plural, namespace, name)
        found = self.objects.pop(key)
        found["metadata"]["resourceVersion"] = self._next_revision()
        self._notify(key, WatchEvent("DELETED", found))

    def _missed(self, revision: int) -> Iterable[tuple[Key, WatchEvent]]:
        """Return the events since a revision."""
        return [(k, e) for k, e in self._history if int(e.object["metadata"]["resourceVersion"]) > revision]

    def _present(self) -> Iterable[tuple[Key, WatchEvent]]:
        """Return the initial events of a watch without a revision."""
        return [(key, WatchEvent("ADDED", copy.deepcopy(found))) for key, found in self.objects.items()]

    async def _begin(self, verb: str, kind: Kind) -> None:
        await asyncio.sleep(0)  # as over a network: others get a turn
        self.requests.append((verb, kind.plural))
        self._activity.set()
        self.fault(verb, kind)

    def _next_revision(self) -> str:
        self._revision += 1
        return str(self._revision)

    def _find(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        try:
            return self.objects[kind.plural, namespace, name]
        except KeyError:
            raise errors.NotFoundError(f"{kind.plural} {name!r} not found", code=404) from None

    def _store(self, key: Key, found: dict[str, Any], event: str) -> dict[str, Any]:
        found["metadata"]["resourceVersion"] = self._next_revision()
        self.objects[key] = found
        self._notify(key, WatchEvent(event, copy.deepcopy(found)))
        return copy.deepcopy(found)

    def _notify(self, key: Key, event: WatchEvent) -> None:
        self._history.append((key, event))
        self._activity.set()
        for queue in self._watchers:
            queue.put_nowait((key, event))


def _merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _labelled(found: dict[str, Any], selector: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    wanted = (part.partition("=") for part in selector.split(",") if part)
    return all(labels.get(name) == value for name, _, value in wanted)


def _selected(found: dict[str, Any], selector: str) -> bool:
    wanted = (part.partition("=") for part in selector.split(",") if part)
    return all(_field(found, path) == value for path, _, value in wanted)


def _field(found: dict[str, Any], path: str) -> Any:
    field: Any = found
    for part in path.split("."):
        field = field.get(part) or {}
    return field or ""
