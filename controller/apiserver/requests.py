"""HTTP to verbs: who asks, what for, and in which form the answer goes back."""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass
from typing import Any

import yaml
from aiohttp import web

from controller import errors
from controller.apiserver import documents, failures, protobuf, tables
from controller.apiserver.resources import Registry, Resource
from controller.apiserver.store import Store
from controller.apiserver.users import Users
from controller.apiserver.verbs import Verbs, predicate
from controller.apiserver.watches import Watch

Object = dict[str, Any]
logger = logging.getLogger(__name__)

WATCH_SECONDS = 1800
PATCH_TYPES = (
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
HEALTH = ("healthz", "livez", "readyz")


@dataclass(frozen=True)
class Target:
    """What a path names."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


class Requests:
    """Answers every request with an object or a Status."""

    def __init__(self, verbs: Verbs, registry: Registry, store: Store, users: Users) -> None:
        self._verbs = verbs
        self._registry = registry
        self._store = store
        self._users = users

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The one handler."""
        try:
            return await self._route(request, self._users.of(request))
        except failures.Failure as failure:
            return web.json_response(failure.status(), status=failure.code)
        except errors.EdgeError as error:
            return web.json_response(failures.internal(str(error)).status(), status=500)
        except web.HTTPRequestEntityTooLarge:
            too_large = failures.Failure(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")
            return web.json_response(too_large.status(), status=413)
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return web.json_response(failures.internal("see the controller's log").status(), status=500)

    async def _route(self, request: web.Request, user: str) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        if parts and parts[0] in HEALTH:
            return web.Response(text="ok")
        aggregated = "apidiscovery.k8s.io" in request.headers.get("Accept", "")
        document = documents.find(self._registry, parts, aggregated=aggregated)
        if document is not None:
            return _document(document, aggregated=aggregated and parts in (["api"], ["apis"]))
        if parts[:2] in (["apis", "authentication.k8s.io"], ["apis", "authorization.k8s.io"]):
            return await self._review(request, parts[-1], user)
        return await self._operate(request, self._target(parts))

    async def _review(self, request: web.Request, kind: str, user: str) -> web.Response:
        statuses = {
            "selfsubjectreviews": {
                "userInfo": {"username": user, "groups": ["system:masters", "system:authenticated"]}
            },
            "selfsubjectaccessreviews": {"allowed": True},
        }
        if kind not in statuses:
            raise _unknown_path()
        return web.json_response({**await _body(request), "status": statuses[kind]}, status=201)

    def _target(self, parts: list[str]) -> Target:
        match parts:
            case ["api", "v1", *rest]:
                group, version = "", "v1"
            case ["apis", group, version, *rest]:
                pass
            case _:
                raise _unknown_path()
        namespace = ""
        if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        if not rest or len(rest) > 3:
            raise _unknown_path()
        resource = self._registry.find(group, version, rest[0])
        if resource is None or (len(rest) == 3 and rest[2] not in ("status", "finalize")):
            raise _unknown_path()
        return Target(resource, namespace, rest[1] if len(rest) > 1 else "", rest[2] if len(rest) > 2 else "")

    async def _operate(self, request: web.Request, target: Target) -> web.StreamResponse:
        if target.name:
            return await self._on_object(request, target)
        match request.method:
            case "GET" if request.query.get("watch") in ("true", "1"):
                return await self._watch(request, target)
            case "GET":
                return self._list(request, target)
            case "POST":
                body = await _body(request)
                made, unknown = await self._verbs.create(target.resource, target.namespace, body, dry=_dry(request))
                return _shown(request, target.resource, made, 201, _warnings(request, target, unknown))
            case "DELETE":
                return await self._delete_collection(request, target)
        raise failures.Failure(
            405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
        )

    async def _on_object(self, request: web.Request, target: Target) -> web.StreamResponse:
        resource, place = target.resource, (target.namespace, target.name)
        match request.method:
            case "GET":
                return _shown(request, resource, self._verbs.get(resource, *place), 200, [])
            case "PUT":
                body = await _body(request)
                done, unknown = await self._verbs.update(
                    resource, *place, lambda _: body, target.subresource, dry=_dry(request)
                )
            case "PATCH":
                done, unknown = await self._patch(request, target)
            case "DELETE":
                options = await _body(request)
                gone = await self._verbs.delete(resource, *place, options, dry=_dry(request))
                return _shown(request, resource, gone, 200, [])
            case _:
                raise failures.Failure(
                    405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
                )
        return _shown(request, resource, done, 200, _warnings(request, target, unknown))

    async def _patch(self, request: web.Request, target: Target) -> tuple[Object, list[str]]:
        kind = request.content_type
        if kind not in PATCH_TYPES:
            message = "the body of the request was in an unknown format - accepted media types include: "
            raise failures.Failure(415, "UnsupportedMediaType", message + ", ".join(PATCH_TYPES))
        patch = await _body(request)
        place = (target.namespace, target.name)
        if kind == "application/apply-patch+yaml":
            try:
                self._verbs.get(target.resource, *place)
            except failures.Failure:
                patch.setdefault("metadata", {})["name"] = target.name
                return await self._verbs.create(target.resource, target.namespace, patch, dry=_dry(request))
        return await self._verbs.patch(target.resource, *place, patch, kind, target.subresource, dry=_dry(request))

    def _list(self, request: web.Request, target: Target) -> web.Response:
        label, field = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        items = self._verbs.select(target.resource, target.namespace, label, field)
        metadata = {"resourceVersion": str(self._store.revision)}
        if (include := _table(request)) is not None:
            return web.json_response(tables.table(target.resource, items, metadata, include))
        kind = target.resource.list_kind or f"{target.resource.kind}List"
        return web.json_response(
            {"kind": kind, "apiVersion": target.resource.api_version, "metadata": metadata, "items": items}
        )

    async def _delete_collection(self, request: web.Request, target: Target) -> web.Response:
        label, field = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        items = self._verbs.select(target.resource, target.namespace, label, field)
        for item in items:
            metadata = item["metadata"]
            await self._verbs.delete(
                target.resource, metadata.get("namespace", ""), metadata["name"], {}, dry=_dry(request)
            )
        return web.json_response({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        query = request.query
        matches = predicate(target.resource, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        watch = Watch(self._store, target.resource, target.namespace, matches, as_table=_table(request))
        seconds = float(query.get("timeoutSeconds") or WATCH_SECONDS)
        bookmarks, initial = query.get("allowWatchBookmarks") == "true", query.get("sendInitialEvents") == "true"
        lines = watch.lines(query.get("resourceVersion", ""), seconds, bookmarks=bookmarks, initial=initial)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        # A client that goes away in the middle of a write has ended its watch, and that is all.
        async with contextlib.aclosing(lines) as stream:
            with contextlib.suppress(ConnectionResetError):
                async for line in stream:
                    await response.write(line)
        return response


def _document(document: Object, *, aggregated: bool) -> web.Response:
    kind = "application/json"
    if aggregated:
        kind += ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    return web.Response(body=json.dumps(document).encode(), headers={"Content-Type": kind})


async def _body(request: web.Request) -> Any:
    raw = await request.read()
    if not raw:
        return {}
    try:
        return _decode(raw, request.content_type)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise failures.bad_request(f"the object provided is unrecognized: {error}") from error


def _decode(raw: bytes, content_type: str) -> Any:
    if content_type == protobuf.CONTENT_TYPE:
        return protobuf.decode(raw)
    return yaml.safe_load(raw) if "yaml" in content_type else json.loads(raw)


def _dry(request: web.Request) -> bool:
    return "dryRun" in request.query


def _table(request: web.Request) -> str | None:
    accept = request.headers.get("Accept", "")
    return request.query.get("includeObject", "Metadata") if "as=Table" in accept.split(",")[0] else None


def _shown(request: web.Request, resource: Resource, item: Object, status: int, warnings: list[str]) -> web.Response:
    headers = [("Warning", f"299 - {json.dumps(warning)}") for warning in warnings]
    if (include := _table(request)) is not None:
        metadata = {"resourceVersion": item["metadata"].get("resourceVersion", "")}
        item = tables.table(resource, [item], metadata, include)
    return web.Response(
        body=json.dumps(item, separators=(",", ":")).encode(),
        status=status,
        content_type="application/json",
        headers=headers,
    )


def _warnings(request: web.Request, target: Target, unknown: list[str]) -> list[str]:
    wish = request.query.get("fieldValidation", "Warn")
    texts = [f'unknown field "{field}"' for field in unknown]
    if texts and wish == "Strict":
        kind = f"{target.resource.kind} in version {target.resource.version!r}".replace("'", '"')
        raise failures.bad_request(
            f"{kind} cannot be handled as a {target.resource.kind}: strict decoding error: {', '.join(texts)}"
        )
    return texts if wish == "Warn" else []


def _unknown_path() -> failures.Failure:
    return failures.Failure(404, "NotFound", "the server could not find the requested resource")
