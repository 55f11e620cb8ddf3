"""Map HTTP requests to verbs and their results to responses. Access was checked before (filter_chain.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from controller.apiserver import bounds, failures
from controller.apiserver.access import audit, users
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Policy
from controller.apiserver.access.identities import Identity
from controller.apiserver.access.reviews import GROUPS, MAX_BODY, Reviews
from controller.apiserver.documents.discovery import Documents
from controller.apiserver.documents.openapi import OpenApi
from controller.apiserver.http import backup, request_bodies, responses
from controller.apiserver.http.health import ENDPOINTS, Health
from controller.apiserver.http.limits import TURN, WORKER
from controller.apiserver.http.transactions import Transactions
from controller.apiserver.incoming import Incoming, OwnRequest, OwnStream
from controller.apiserver.kinds.resources import Registry, Resource
from controller.apiserver.objects import deletions, request_options
from controller.apiserver.objects.representation import Form
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.store import UNCHANGED, Store
from controller.apiserver.texts import Selection
from controller.apiserver.verbs import presentation, writing
from controller.apiserver.verbs.presentation import View
from controller.apiserver.verbs.reading import Advice, Reading, predicate
from controller.apiserver.verbs.watches import Watch
from controller.apiserver.verbs.writing import ResourceRef, Verbs, Written

Object = dict[str, Any]
APPLY_PATCH = "application/apply-patch+yaml"
PATCHES = (writing.JSON_PATCH, writing.MERGE_PATCH, writing.STRATEGIC_PATCH, APPLY_PATCH)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class ObjectView(Protocol):
    """A subresource that shows and changes a part of an object in a form of its own. Raises failures.Failure."""

    def of(self, resource: Resource, item: Object) -> Object:
        """The view of a stored object."""

    async def update(self, ref: ResourceRef, body: Any, options: WriteOptions) -> Written:
        """Replace the view with the body."""

    async def patch(self, ref: ResourceRef, patch: Any, kind: str, options: WriteOptions) -> Written:
        """Patch the view by content type."""


class Requests:
    """Handles authorized requests. Raises failures.Failure and errors.ApiError."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        reviews: Reviews,
        health: Health,
        advice: Mapping[str, Advice],
        views: Mapping[str, Callable[[Verbs], ObjectView]],
        policy: Policy,
        copy: Callable[[], Generator[bytes]],
    ) -> None:
        """``views``: subresources with bodies of their own, by name. ``copy`` returns the pieces of a backup."""
        self._reading = Reading(store)
        self._verbs = Verbs(store, {key: partial(self._reading.advised, one) for key, one in advice.items()})
        self._views = {name: view(self._verbs) for name, view in views.items()}
        self._transactions = Transactions(self._verbs, self._reading, policy, self._writable, self._resource_ref)
        self._documents = Documents(registry, health.paths())
        self._openapi = OpenApi(registry)
        self._registry = registry
        self._store = store
        self._reviews = reviews
        self._health = health
        self._copy = copy

    async def answer(self, request: Incoming, attrs: Attributes, user: Identity) -> web.StreamResponse:
        """Handle one request."""
        if not attrs.resource:
            return await self._document(request, user)
        ref = self._resource_ref(attrs)
        _check_verb(request.method, attrs, ref.resource)
        if attrs.group in GROUPS:
            return await self._review(request, attrs, user)
        if attrs.verb == "watch":
            return await self._watch(request, ref)
        options = request_options.of_write(request.query, request.headers.get("User-Agent", ""), attrs.subresource)
        form = responses.form(request)  # before any write: a 406 must not leave a change behind
        if view := self._views.get(attrs.subresource):
            return await self._on_view(request, ref, options, view)
        if ref.name:
            return await self._on_object(request, ref, options, form)
        return await self._on_collection(request, ref, options, form)

    async def _review(self, request: Incoming, attrs: Attributes, user: Identity) -> web.Response:
        if kind := responses.form(request).kind:
            raise failures.not_acceptable(f"{attrs.qualified} cannot be returned as {kind}")
        return responses.answer(self._reviews.answer(user, attrs, await request_bodies.body(request, MAX_BODY)), 201)

    async def _document(self, request: Incoming, user: Identity) -> web.StreamResponse:
        # For our own user only: to everybody else this is the API of Kubernetes, which has no such paths.
        if (request.method, request.path) == ("POST", audit.TRANSACTION) and users.is_own(request):
            return await self._transactions.answer(request, user)
        if isinstance(request, OwnRequest):
            raise failures.unknown_path()
        if (request.method, request.path) == ("GET", backup.PATH) and users.is_own(request):
            return await backup.answer(request, self._copy)
        if request.method not in ("GET", "HEAD"):
            raise failures.method_not_allowed()
        parts = [part for part in request.path.split("/") if part]
        if parts and parts[0] in ENDPOINTS:
            return self._health.answer(request, parts[0], parts[1:])
        if parts[:1] == ["openapi"]:
            return await self._schemas(request, parts[1:])
        aggregated = parts in (["api"], ["apis"]) and responses.prefers_aggregated(request)
        document = self._documents.find(parts, aggregated=aggregated)
        if document is None:
            raise failures.unknown_path()
        return responses.answer(document, kind=responses.DISCOVERY) if aggregated else responses.answer(document)

    async def _schemas(self, request: web.Request, parts: list[str]) -> web.Response:
        found = await self._openapi.find(parts, responses.ranges(request))
        if found is None:
            raise failures.unknown_path()
        return responses.published(request, found)

    def _resource_ref(self, attrs: Attributes) -> ResourceRef:
        resource = self._registry.find(attrs.group, attrs.version, attrs.resource)
        if resource is None or attrs.rest:
            raise failures.unknown_path()
        if attrs.subresource and resource.subresource(attrs.subresource) is None:
            raise failures.unknown_path()
        # For authorization a namespace is in itself, as in Kubernetes; it is stored outside of any.
        namespace = "" if (attrs.group, attrs.resource) == ("", "namespaces") else attrs.namespace
        if (namespace and not resource.namespaced) or (attrs.name and resource.namespaced and not namespace):
            raise failures.unknown_path()
        return ResourceRef(resource, namespace, attrs.name)

    def _writable(self, method: str, attrs: Attributes) -> ResourceRef:
        """What a write is about. Raises failures.Failure."""
        ref = self._resource_ref(attrs)
        _check_verb(method, attrs, ref.resource)
        if ref.resource.namespaced != bool(ref.namespace) or attrs.group in GROUPS:
            raise failures.method_not_allowed()
        return ref

    async def _on_collection(
        self, request: Incoming, ref: ResourceRef, options: WriteOptions, form: Form
    ) -> web.Response:
        match request.method:
            case "GET":
                # Until the response is built: concurrent lists of one user would starve the others.
                async with request[TURN]:
                    found, metadata = await self._reading.select(ref, request_options.of_list(request.query))
                    return await _listed(request, ref.resource, found, metadata, form)
            case "POST" if ref.resource.namespaced == bool(ref.namespace):
                body, options = await _given(request, options)
                made = await self._verbs.create(ref, body, options)
                request[audit.NAME] = made.object["metadata"]["name"]
                return await _done(request, ref.resource, made, form.of_object)
            case "DELETE":
                return await self._delete_collection(request, ref, options, form)
        raise failures.method_not_allowed()

    async def _on_object(self, request: Incoming, ref: ResourceRef, options: WriteOptions, form: Form) -> web.Response:
        match request.method:
            case "GET":
                found = self._reading.get(ref, request_options.revision_of(request.query))
                return await _shown(request, ref.resource, found, form.of_object)
            case "PUT":
                body, options = await _given(request, options)
                done = await self._verbs.update(ref, body, options)
            case "PATCH":
                done = await self._patch(request, ref, options)
            case "DELETE":
                asked = deletions.read(await request_bodies.body(request), request.query)
                done = await self._verbs.delete(ref, asked, replace(options, dry=asked.dry))
                if done.type == "DELETED":
                    return responses.answer(failures.success(ref.resource, done.object))
                return await _done(request, ref.resource, done, Form().of_object)
            case _:
                raise failures.method_not_allowed()
        return await _done(request, ref.resource, done, form.of_object)

    async def _on_view(
        self, request: Incoming, ref: ResourceRef, options: WriteOptions, view: ObjectView
    ) -> web.Response:
        if request.method not in ("PUT", "PATCH"):
            return await _shown(request, ref.resource, self._reading.get(ref), view.of)
        if request.method == "PUT":
            body, options = await _given(request, options)
            done = await view.update(ref, body, options)
        else:
            body, options = await _given(request, options, PATCHES[:3])
            done = await view.patch(ref, body, request_bodies.media_type(request), options)
        return await _done(request, ref.resource, done, view.of)

    async def _patch(self, request: Incoming, ref: ResourceRef, options: WriteOptions) -> Written:
        kind = request_bodies.media_type(request)
        if kind == APPLY_PATCH:
            # Not options.manager, which falls back to the User-Agent: an apply must name its manager.
            if "fieldManager" not in request.query:
                raise failures.manager_required()
            return await self._verbs.apply(ref, *await _given(request, options, PATCHES))
        body, options = await _given(request, options, PATCHES)
        return await self._verbs.patch(ref, body, kind, options)

    async def _delete_collection(
        self, request: Incoming, ref: ResourceRef, options: WriteOptions, form: Form
    ) -> web.Response:
        asked = deletions.read(await request_bodies.body(request), request.query)
        found, metadata = await self._reading.select(ref, request_options.of_list(request.query))
        for place in [kept.place for kept in found.kept]:
            one = ResourceRef(ref.resource, *place)
            # Another client or the garbage collector may have deleted it since the list was read.
            with contextlib.suppress(failures.NotFound):
                await self._verbs.delete(one, asked, replace(options, dry=asked.dry))
        return await _listed(request, ref.resource, found, metadata, form)

    async def _watch(self, request: Incoming, ref: ResourceRef) -> web.StreamResponse:
        options = request_options.of_watch(request.query)
        field = ",".join(filter(None, (options.field, f"metadata.name={ref.name}" if ref.name else "")))
        # Before the response begins, so that a malformed selector still gets its 400.
        matches = predicate(ref.resource, options.label, field)
        form, worker = responses.form(request, streaming=True), request.app[WORKER]
        watch = Watch(self._store, ref, matches, form, worker, request[TURN])
        if isinstance(request, OwnRequest):
            return OwnStream(watch.events(options))
        response = web.StreamResponse(headers={**responses.HEADERS, "Content-Type": "application/json"})
        # A generator that is merely abandoned keeps its subscription until it is garbage-collected.
        async with contextlib.aclosing(watch.events(options)) as stream:
            # A client that disconnects during a write ends its watch; that is no error.
            with contextlib.suppress(ConnectionResetError):
                await response.prepare(request)
                async for line in stream:
                    await responses.send(request, response.write(line))
        return response


async def _listed(
    request: Incoming, resource: Resource, found: Selection, metadata: Object, form: Form
) -> web.Response:
    """Respond with a list of stored objects. Raises failures.Failure (406)."""

    def made() -> str:
        shown = partial(presentation.listed, resource, parse=bool(form.kind))
        return responses.encoded_list(form.of_list(resource, [*map(shown, found.kept)], metadata))

    return await responses.made(request, made, large=found.size > bounds.LARGE_KEPT)


async def _done(request: Incoming, resource: Resource, done: Written, view: View) -> web.Response:
    """Respond to a write."""
    status, large = 201 if done.created else 200, bounds.is_large(done.object)
    made = partial(presentation.text, resource, done.object, view)
    return await responses.made(request, made, status, done.warnings, large=large)


async def _shown(request: Incoming, resource: Resource, item: Object, view: View) -> web.Response:
    """Respond with one stored object in the given view. Raises failures.Failure (406)."""
    return await _done(request, resource, Written(item, [], UNCHANGED), view)


def _check_verb(method: str, attrs: Attributes, resource: Resource) -> None:
    """Raise failures.Failure (405) if the resource does not support the verb."""
    if method not in METHODS or (attrs.reads and attrs.verb not in resource.verbs):
        raise failures.method_not_allowed()
    part = resource.subresource(attrs.subresource)
    if part is not None and attrs.verb not in part.verbs:
        raise failures.method_not_allowed()
    if part is None and attrs.verb not in resource.verbs:
        raise failures.not_for_this_api(resource)


async def _given(
    request: Incoming, options: WriteOptions, accepted: Collection[str] | None = None
) -> tuple[Any, WriteOptions]:
    """The decoded body, and the options with its duplicate fields."""
    decoded = await request_bodies.decoded(request, accepted)
    return decoded.object, replace(options, duplicates=decoded.duplicates)
