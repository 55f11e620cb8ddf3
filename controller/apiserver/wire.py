"""Bodies and answers on the wire: what comes in as JSON, YAML or protobuf, what goes out as JSON or as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import yaml
from aiohttp import web

from controller.apiserver import bodies, failures, protobuf, tables
from controller.apiserver.bodies import Decoded
from controller.apiserver.resources import Resource

Object = dict[str, Any]

MAX_BODY = 3 << 20  # bytes, as with Kubernetes
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def body(request: web.Request) -> Any:
    """The object in a request; an empty one where there is none. Raises failures.Failure (400, 413)."""
    return (await decoded(request)).object


async def decoded(request: web.Request) -> Decoded:
    """As ``body``, with what was said twice."""
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise failures.too_large(MAX_BODY) from error
    if not raw:
        return Decoded({}, ())
    try:
        if request.content_type == protobuf.CONTENT_TYPE:
            return Decoded(protobuf.decode(raw), ())
        return bodies.of_yaml(raw) if "yaml" in request.content_type else bodies.of_json(raw)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise failures.bad_request(f"the object provided is unrecognized: {error}") from error


def as_table(request: web.Request) -> str | None:
    """What the rows of the table that is asked for show of their object; None when no table is."""
    accept = request.headers.get("Accept", "")
    return request.query.get("includeObject", "Metadata") if "as=Table" in accept.split(",")[0] else None


def answer(
    item: Object, status: int = 200, warnings: Iterable[str] = (), kind: str = "application/json"
) -> web.Response:
    """An object as JSON (RFC 9110 and RFC 7234 for warnings)."""
    return web.Response(
        body=json.dumps(item, separators=(",", ":")).encode(),
        status=status,
        headers=[("Content-Type", kind), *(("Warning", f"299 - {json.dumps(text)}") for text in warnings)],
    )


def of_object(
    request: web.Request, resource: Resource, item: Object, status: int = 200, warnings: Iterable[str] = ()
) -> web.Response:
    """One object, as itself or as the one row of a table."""
    if (include := as_table(request)) is not None:
        metadata = {"resourceVersion": item["metadata"].get("resourceVersion", "")}
        item = tables.table(resource, [item], metadata, include)
    return answer(item, status, warnings)


def of_list(request: web.Request, resource: Resource, items: list[Object], metadata: Object) -> web.Response:
    """A list, as itself or as a table."""
    if (include := as_table(request)) is not None:
        return answer(tables.table(resource, items, metadata, include))
    kind = resource.list_kind or f"{resource.kind}List"
    return answer({"kind": kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items})
