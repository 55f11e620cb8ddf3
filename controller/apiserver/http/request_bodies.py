"""Read and decode the body of a request: JSON, YAML, and what else the server was given a decoder for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import yaml
from aiohttp import http_exceptions, web

from controller.apiserver import failures
from controller.apiserver.http import json_bodies, yaml_bodies
from controller.apiserver.http.json_bodies import Decoded
from controller.apiserver.http.limits import in_turn
from controller.apiserver.incoming import Incoming, OwnRequest
from controller.apiserver.objects import representation

Decoder = Callable[[bytes], Decoded]

MAX_BODY = 3 << 20  # bytes, as in Kubernetes
# Larger bodies are decoded in the worker thread: YAML and protobuf take twenty times as long as JSON.
LARGE_JSON_BYTES, LARGE_BYTES = 16 << 10, 4 << 10
MESSAGE_LIMIT = 500  # characters of a decoding error
PLAIN = "identity"
ABORTED = (ConnectionError, web.RequestPayloadError, http_exceptions.PayloadEncodingError)
OWN_DECODERS: Mapping[str, Decoder] = {
    representation.JSON: json_bodies.of_json,
    representation.YAML: yaml_bodies.of_yaml,
}
DECODERS: web.AppKey[Mapping[str, Decoder]] = web.AppKey("decoders")
"""By the media types of whole objects. Raise ValueError and yaml.YAMLError."""


async def body(request: Incoming, limit: int = MAX_BODY) -> Any:
    """The object in a request body; an empty one without a body. Raises failures.Failure (400, 413, 415)."""
    return (await decoded(request, limit=limit)).object


async def decoded(request: Incoming, accepted: Collection[str] | None = None, limit: int = MAX_BODY) -> Decoded:
    """Like ``body``, with duplicate fields. ``limit`` is in bytes; None accepts the media types of whole objects."""
    kind, decoders = media_type(request), request.app[DECODERS]
    if request.can_read_body and kind not in (accepted or decoders):
        raise failures.unsupported_media(accepted or tuple(decoders))
    if request.headers.get("Content-Encoding", PLAIN).lower() != PLAIN:
        raise failures.unsupported_encoding()
    try:
        raw = await _content(request, limit)
    except web.HTTPRequestEntityTooLarge as error:
        raise failures.too_large(limit) from error
    except ABORTED as error:  # not logged: a client could flood the log
        raise failures.bad_request("the client disconnected before the end of the body") from error
    if not raw:
        return Decoded({}, ())
    decode = decoders.get(kind) or (yaml_bodies.of_yaml if "yaml" in kind else json_bodies.of_json)
    try:
        large = len(raw) > (LARGE_JSON_BYTES if "json" in kind else LARGE_BYTES)
        if not large:
            return decode(raw)
        return await in_turn(request, partial(decode, raw))
    except (ValueError, yaml.YAMLError) as error:
        raise failures.bad_request(f"the object provided is unrecognized: {str(error)[:MESSAGE_LIMIT]}") from error


async def _content(request: Incoming, limit: int) -> bytes:
    if isinstance(request, OwnRequest):
        if len(request.content) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, len(request.content))
        return request.content
    # aiohttp has one limit for the whole application, but reviews have a smaller one.
    return await request.clone(client_max_size=limit).read()


def media_type(request: Incoming) -> str:
    """The media type of the body. Not ``request.content_type``: it parses all parameters, in quadratic time."""
    return request.headers.get("Content-Type", representation.JSON).partition(";")[0].strip().lower()
