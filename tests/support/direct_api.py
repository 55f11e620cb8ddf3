"""The embedded API in the test's event loop, without sockets, as a client that injects faults.

It has the product's own verbs, selectors, patches, schemas and watches. The rest of the server is left out: access,
garbage collection, and the check of a kind's verbs, so that kinds of a full cluster can be written, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from controller import errors, names
from controller.api import crds, kinds
from controller.apiserver.access import attributes
from controller.apiserver.failures import AlreadyExists, Failure
from controller.apiserver.kinds import resources
from controller.apiserver.kinds.core import CORE, NAMESPACES
from controller.apiserver.kinds.resources import STATUS, Resource, Selectable
from controller.apiserver.objects import request_options
from controller.apiserver.objects.deletions import Deletion
from controller.apiserver.objects.representation import Form
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import Store, Transaction
from controller.apiserver.verbs import presentation, writing
from controller.apiserver.verbs.reading import Reading, predicate
from controller.apiserver.verbs.watches import Watch
from controller.apiserver.verbs.writing import ResourceRef, Step, Verbs
from controller.apiserver.worker import Worker
from controller.machinery import failures
from controller.machinery import kinds as core_kinds
from controller.machinery.client import JSON_PATCH, MERGE_PATCH, ApiClient, Listing, Patch, WatchEvent
from controller.machinery.endpoint import Endpoint
from controller.machinery.kinds import Kind
from controller.machinery.writes import Selection, Write

T = TypeVar("T")
Object = dict[str, Any]
Fault = Callable[[str, Kind], Awaitable[None] | None]

OPTIONS = WriteOptions(manager=names.FIELD_MANAGER)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def no_fault(_verb: str, _kind: Kind) -> None:
    """The fault of an API that works."""


class DirectApi(ApiClient):
    """``fault`` is called, and awaited, before every verb with its name and kind; its exceptions reach the caller.

    ``requests`` lists every verb with the plural of its kind; a watch lasts ``watch_seconds``. A namespace exists once
    something is created in it.
    """

    has_transactions = False  # as in a cluster

    def __init__(self) -> None:
        super().__init__(Endpoint("memory:"))
        self.requests: list[tuple[str, str]] = []
        self.fault: Fault = no_fault
        self.watch_seconds = 1800.0
        self._folder = tempfile.TemporaryDirectory(prefix="direct-api-", dir=MEMORY)
        self._store = Store(Path(self._folder.name) / "objects.db")
        self._verbs, self._reading, self._worker = Verbs(self._store), Reading(self._store), Worker()
        self._activity = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._store.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._worker.close()
        await self._store.close()
        self._folder.cleanup()

    @property
    def objects(self) -> dict[tuple[str, str, str], Object]:
        """Copies of all objects except namespaces, by plural, namespace and name."""
        return {
            (resource.plural, item["metadata"].get("namespace", ""), item["metadata"]["name"]): _copied(item)
            for resource in _resources().values()
            if resource is not NAMESPACES
            for item in self._store.select(resource.key, "")
        }

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        async with self._handling("get", kind):
            return self._shown(kind, self._reading.get(_ref(kind, namespace, name)))

    async def snapshot(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Listing:
        async with self._handling("list", kind):
            query = {"labelSelector": label_selector, "fieldSelector": field_selector}
            found, metadata = await self._reading.select(_ref(kind, namespace), request_options.of_list(query))
            return Listing([self._shown(kind, item) for item in found], metadata["resourceVersion"])

    async def extracts(self, kind: Kind, extract: Callable[[Object], T], *, field_selector: str = "") -> Sequence[T]:
        return [extract(item) for item in await self.list(kind, field_selector=field_selector)]

    async def create(self, kind: Kind, body: Object) -> Object:
        async with self._handling("create", kind):
            namespace = body["metadata"].get("namespace", "")
            await self._make(namespace)
            whole = {"apiVersion": kind.api_version, "kind": kind.kind, **_copied(body)}
            return self._shown(kind, (await self._verbs.create(_ref(kind, namespace), whole, OPTIONS)).object)

    async def transaction(self, *steps: Write, unless: Selection | None = None) -> Sequence[Object]:
        async with self._handling("transaction", kinds.RUNTIMES):
            found = [_step(step) for step in steps]
            for step in found:
                await self._make(step.ref.namespace)
            every = _ref(kinds.RUNTIMES, "")
            checks = [Step(every, self._reading.absence(every, unless.selector))] if unless else []
            done = await self._verbs.together(found, checks)
            pairs = zip(found, done, strict=True)
            return [_copied(presentation.shown(step.ref.resource, made.object)) for step, made in pairs]

    async def replace(self, kind: Kind, body: Object) -> Object:
        async with self._handling("replace", kind):
            ref = _ref(kind, body["metadata"].get("namespace", ""), body["metadata"]["name"])
            return self._shown(kind, (await self._verbs.update(ref, _copied(body), OPTIONS)).object)

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Patch, *, subresource: str = "") -> Object:
        async with self._handling("patch", kind):
            content_type = JSON_PATCH if isinstance(patch, list) else MERGE_PATCH
            options = dataclasses.replace(OPTIONS, subresource=subresource)
            done = await self._verbs.patch(_ref(kind, namespace, name), _copied(patch), content_type, options)
            return self._shown(kind, done.object)

    async def delete(self, kind: Kind, name: str, namespace: str = "", *, uid: str = "") -> None:
        with contextlib.suppress(errors.NotFoundError):
            async with self._handling("delete", kind):
                await self._verbs.delete(_ref(kind, namespace, name), Deletion(uid=uid), OPTIONS)

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent]:
        async with self._handling("watch", kind):
            query = {"resourceVersion": resource_version, "allowWatchBookmarks": "true"}
            options = request_options.of_watch({name: value for name, value in query.items() if value})
            options = dataclasses.replace(options, seconds=self.watch_seconds)
            ref, matches = _ref(kind, namespace), predicate(_resource(kind), label_selector, field_selector)
        events = Watch(self._store, ref, matches, Form(), self._worker, asyncio.Lock()).events(options)
        async with contextlib.aclosing(events) as lines:
            async for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise failures.from_status(event["object"])
                yield WatchEvent(event["type"], event["object"])

    # -- what a test does to the API -----------------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds that requests change."""
        while not holds():
            self._activity.clear()
            await self._activity.wait()

    async def edit(self, kind: Kind, name: str, namespace: str, change: Callable[[Object], object]) -> None:
        """Change a stored object in any way: nothing is validated, defaulted or counted as a generation."""

        def commit(transaction: Transaction) -> None:
            changed = _copied(transaction.current)
            change(changed)
            transaction.commit(changed)

        await self._store.write(_ref(kind, namespace, name).key, commit)

    async def remove(self, kind: Kind, name: str, namespace: str = "") -> None:
        """Remove an object at once, regardless of finalizers."""
        await self._store.write(_ref(kind, namespace, name).key, lambda transaction: transaction.commit(None))

    async def _make(self, namespace: str) -> None:
        """Create the namespace unless it exists."""
        if namespace and self._store.get(_ref(core_kinds.NAMESPACES, "", namespace).key) is None:
            with contextlib.suppress(AlreadyExists):  # another request creates it at the same time
                await self._verbs.create(ResourceRef(NAMESPACES, ""), {"metadata": {"name": namespace}}, OPTIONS)

    @contextlib.asynccontextmanager
    async def _handling(self, verb: str, kind: Kind) -> AsyncIterator[None]:
        """Count a request, inject the fault, and raise a failure as the client does."""
        await asyncio.sleep(0)  # as over a network: others get a turn
        self.requests.append((verb, kind.plural))
        self._activity.set()
        if (pending := self.fault(verb, kind)) is not None:
            await pending
        try:
            yield
        except Failure as failure:
            raise failures.from_status(failure.status()) from None
        finally:
            self._activity.set()

    def _shown(self, kind: Kind, item: Object) -> Object:
        shown: Object = _copied(presentation.shown(_resource(kind), item))
        return shown


@functools.cache
def _resources() -> dict[tuple[str, str, str], Resource]:
    """Core kinds and ours, by group, version and plural."""
    ours = [resource for manifest in crds.manifests() for resource in resources.of_definition(manifest)]
    others = [
        Resource(
            kind.group,
            kind.version,
            kind.plural,
            kind.kind,
            True,
            subresources=(STATUS,),
            has_generation=True,
            selectable=(Selectable("spec.nodeName"),) if kind is core_kinds.PODS else (),
        )
        for kind in (
            core_kinds.PODS,
            core_kinds.SERVICES,
            core_kinds.STATEFUL_SETS,
            core_kinds.NETWORK_ATTACHMENT_DEFINITIONS,
        )
    ]
    return {(resource.group, resource.version, resource.plural): resource for resource in (*CORE, *ours, *others)}


def _resource(kind: Kind) -> Resource:
    return _resources()[kind.group, kind.version, kind.plural]


def _ref(kind: Kind, namespace: str, name: str = "") -> ResourceRef:
    return ResourceRef(_resource(kind), namespace, name)


def _step(write: Write) -> Step:
    attrs = attributes.of_url(write.method, write.path, {})
    resource = _resources()[attrs.group, attrs.version, attrs.resource]
    ref = ResourceRef(resource, attrs.namespace, attrs.name)
    options = dataclasses.replace(OPTIONS, subresource=attrs.subresource, keeps_status=True)
    make = writing.creation if write.method == "POST" else writing.merge
    return make(ref, _copied(write.body), options)


def _copied(body: Any) -> Any:
    """A copy as it crosses a wire, and faster than copy.deepcopy."""
    return json.loads(json.dumps(body))
