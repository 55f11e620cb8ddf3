"""HTTP to verbs: who asks, what for, and in which form the answer goes back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from aiohttp import web

from controller import errors
from controller.apiserver import encodings, failures, options, reviews, verbs, wire
from controller.apiserver.documents import Documents
from controller.apiserver.forms import Form
from controller.apiserver.options import WriteOptions
from controller.apiserver.reading import Reading, predicate
from controller.apiserver.resources import Registry
from controller.apiserver.store import Store
from controller.apiserver.users import Users
from controller.apiserver.verbs import Place, Verbs, Written
from controller.apiserver.watches import Watch

Object = dict[str, Any]
logger = logging.getLogger(__name__)

APPLY_PATCH = "application/apply-patch+yaml"
PATCHES = (verbs.JSON_PATCH, verbs.MERGE_PATCH, verbs.STRATEGIC_PATCH, APPLY_PATCH)
# What everyone may read, as with Kubernetes (role system:public-info-viewer).
PUBLIC = ("healthz", "livez", "readyz", "version")


class Requests:
    """Answers every request with an object or a Status."""

    def __init__(self, registry: Registry, store: Store, users: Users) -> None:
        self._verbs = Verbs(store)
        self._reading = Reading(store)
        self._documents = Documents(registry)
        self._registry = registry
        self._store = store
        self._users = users

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The one handler."""
        answer = await self._answer(request)
        if isinstance(answer, web.Response):
            await encodings.encode(request, answer)
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Whatever goes wrong becomes a Status."""
        try:
            return await self._route(request, [part for part in request.path.split("/") if part])
        except failures.Failure as failure:
            return wire.answer(failure.status(), failure.code)
        except errors.ApiError as error:
            logger.error("%s %s failed: %s", request.method, request.path, error)
            return wire.answer(failures.Failure(error.code, error.reason, str(error)).status(), error.code)
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return wire.answer(failures.internal("see the log of the controller").status(), 500)

    async def _route(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        user = "" if parts and parts[0] in PUBLIC else self._users.of(request)
        if parts and parts[0] in PUBLIC[:3]:
            return web.Response(text="ok")
        aggregated = "apidiscovery.k8s.io" in request.headers.get("Accept", "") and parts in (["api"], ["apis"])
        document = self._documents.find(parts, aggregated=aggregated)
        if document is not None:
            return wire.answer(document, kind=wire.DISCOVERY) if aggregated else wire.answer(document)
        if request.method == "POST" and reviews.is_review(parts):
            return wire.answer(reviews.answer(parts[-1], user, await wire.body(request)), 201)
        place, subresource = self._place(parts)
        if _verb(request.method, place) not in place.resource.verbs:
            raise failures.not_for_this_api(place.resource)
        wish = options.of_write(request.query, request.headers.get("User-Agent", ""), subresource)
        if request.method == "GET" and not place.name and request.query.get("watch") in ("true", "1"):
            return await self._watch(request, place)
        form = wire.form(request)  # before anything is done: what nobody takes must not be written
        if place.name:
            return await self._on_object(request, place, wish, form)
        return await self._on_collection(request, place, wish, form)

    def _place(self, parts: list[str]) -> tuple[Place, str]:
        match parts:
            case ["api", "v1", *rest]:
                group, version = "", "v1"
            case ["apis", group, version, *rest]:
                pass
            case _:
                raise failures.unknown_path()
        namespace = ""
        if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource, *more = [*rest, "", "", ""][: max(3, len(rest))]
        resource = self._registry.find(group, version, plural)
        if resource is None or more or (subresource and (subresource != "status" or not resource.has_status)):
            raise failures.unknown_path()
        if name and resource.namespaced != bool(namespace):
            raise failures.unknown_path()
        return Place(resource, namespace, name), subresource

    async def _on_collection(self, request: web.Request, place: Place, wish: WriteOptions, form: Form) -> web.Response:
        match request.method:
            case "GET":
                items, metadata = await self._reading.select(place, options.of_list(request.query))
                return wire.answer(form.of_list(place.resource, items, metadata))
            case "POST" if place.resource.namespaced == bool(place.namespace):
                body, wish = await _given(request, wish)
                made = await self._verbs.create(place, body, wish)
                return wire.answer(form.of_object(place.resource, made.object), 201, made.warnings)
            case "DELETE":
                return await self._delete_collection(request, place, wish, form)
        raise failures.method_not_allowed()

    async def _on_object(self, request: web.Request, place: Place, wish: WriteOptions, form: Form) -> web.Response:
        match request.method:
            case "GET":
                return wire.answer(form.of_object(place.resource, self._reading.get(place)))
            case "PUT":
                body, wish = await _given(request, wish)
                done = await self._verbs.update(place, body, wish)
            case "PATCH":
                done = await self._patch(request, place, wish)
            case "DELETE":
                asked = await _delete_options(request)
                wish = replace(wish, dry=wish.dry or bool(asked.get("dryRun")))
                done = await self._verbs.delete(place, asked, wish)
                shown = done.object if done.type != "DELETED" else failures.success(place.resource, done.object)
                return wire.answer(shown)
            case _:
                raise failures.method_not_allowed()
        return wire.answer(form.of_object(place.resource, done.object), 201 if done.created else 200, done.warnings)

    async def _patch(self, request: web.Request, place: Place, wish: WriteOptions) -> Written:
        kind = request.content_type
        if kind == APPLY_PATCH:
            if "fieldManager" not in request.query:
                raise failures.manager_required()
            return await self._verbs.apply(place, *await _given(request, wish, PATCHES))
        body, wish = await _given(request, wish, PATCHES)
        return await self._verbs.patch(place, body, kind, wish)

    async def _delete_collection(
        self, request: web.Request, place: Place, wish: WriteOptions, form: Form
    ) -> web.Response:
        asked = await _delete_options(request)
        wish = replace(wish, dry=wish.dry or bool(asked.get("dryRun")))
        items, metadata = await self._reading.select(place, options.of_list(request.query))
        for item in items:
            one = Place(place.resource, item["metadata"].get("namespace", ""), item["metadata"]["name"])
            with contextlib.suppress(failures.NotFound):
                await self._verbs.delete(one, asked, wish)
        return wire.answer(form.of_list(place.resource, items, metadata))

    async def _watch(self, request: web.Request, place: Place) -> web.StreamResponse:
        wish = options.of_watch(request.query)
        matches = predicate(place.resource, wish.label, wish.field)
        watch = Watch(self._store, place, matches, wire.form(request, streaming=True))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        async with contextlib.aclosing(await watch.open(wish)) as stream:
            # A client that goes away in the middle of a write has ended its watch, and that is all.
            with contextlib.suppress(ConnectionResetError):
                await response.prepare(request)
                async for line in stream:
                    await response.write(line)
        return response


async def _given(
    request: web.Request, wish: WriteOptions, accepted: Collection[str] = wire.BODIES
) -> tuple[Any, WriteOptions]:
    """The body, and the options with what is wrong with it."""
    decoded = await wire.decoded(request, accepted)
    return decoded.object, replace(wish, duplicates=decoded.duplicates)


def _verb(method: str, place: Place) -> str:
    """What a request does to the object or collection at this place, as discovery names it."""
    on_collection = {"POST": "create", "DELETE": "deletecollection"}
    on_object = {"PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    return (on_object if place.name else on_collection).get(method, "get")


async def _delete_options(request: web.Request) -> Object:
    given = await wire.body(request)
    if not isinstance(given, dict) or not isinstance(given.get("preconditions") or {}, dict):
        raise failures.bad_request("the body must be DeleteOptions")
    return given
