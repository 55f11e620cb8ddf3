"""Decode request bodies (JSON, YAML, protobuf) and send responses (JSON)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any

import yaml
from aiohttp import http_exceptions, web

from controller.apiserver import failures
from controller.apiserver.documents.openapi import EncodedDocument
from controller.apiserver.http import bodies, encodings, protobuf, yaml_bodies
from controller.apiserver.http.bodies import Decoded
from controller.apiserver.objects import representation
from controller.apiserver.objects.representation import Form

Object = dict[str, Any]

MAX_BODY = 3 << 20  # bytes, as in Kubernetes
# Larger bodies are decoded in the worker thread: YAML and protobuf take twenty times as long as JSON.
LARGE_JSON_BYTES, LARGE_BYTES = 16 << 10, 4 << 10
PIECE_BYTES = 64 << 10  # of a response written at once, and buffered per connection
STALLED_SECONDS = 60.0  # in which a client must read a response or a watch event
MESSAGE_LIMIT = 500  # characters of a decoding error
PLAIN = "identity"
# Characters of all warnings; if they exceed that, of each warning.
WARNINGS_LENGTH, WARNING_LENGTH = 4096, 256
ABORTED = (ConnectionError, web.RequestPayloadError, http_exceptions.PayloadEncodingError)
BODIES = (representation.JSON, representation.YAML, protobuf.CONTENT_TYPE)
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def body(request: web.Request, limit: int = MAX_BODY) -> Any:
    """The object in a request body; an empty one without a body. Raises failures.Failure (400, 413, 415)."""
    return (await decoded(request, limit=limit)).object


async def decoded(request: web.Request, accepted: Collection[str] = BODIES, limit: int = MAX_BODY) -> Decoded:
    """Like ``body``, with duplicate fields. ``limit`` is in bytes."""
    kind = media_type(request)
    if request.can_read_body and kind not in accepted:
        raise failures.unsupported_media(accepted)
    if request.headers.get("Content-Encoding", PLAIN).lower() != PLAIN:
        raise failures.unsupported_encoding()
    try:
        raw = await request.clone(client_max_size=limit).read()
    except web.HTTPRequestEntityTooLarge as error:
        raise failures.too_large(limit) from error
    except ABORTED as error:  # not logged: a client could flood the log
        raise failures.bad_request("the client disconnected before the end of the body") from error
    if not raw:
        return Decoded({}, ())
    try:
        large = len(raw) > (LARGE_JSON_BYTES if "json" in kind else LARGE_BYTES)
        if not large:
            return _parsed(raw, kind)
        return await encodings.in_turn(request, partial(_parsed, raw, kind))
    except (ValueError, yaml.YAMLError) as error:
        raise failures.bad_request(f"the object provided is unrecognized: {str(error)[:MESSAGE_LIMIT]}") from error


def media_type(request: web.Request) -> str:
    """The media type of the body. Not ``request.content_type``: it parses all parameters, in quadratic time."""
    return request.headers.get("Content-Type", representation.JSON).partition(";")[0].strip().lower()


def _parsed(raw: bytes, kind: str) -> Decoded:
    """Raises ValueError and yaml.YAMLError."""
    if kind == protobuf.CONTENT_TYPE:
        return Decoded(protobuf.decode(raw), ())
    return yaml_bodies.of_yaml(raw) if "yaml" in kind else bodies.of_json(raw)


async def send(request: web.Request, sending: Awaitable[None]) -> None:
    """Await a send. Raises ConnectionResetError if the client has gone or stopped reading.

    Without the timeout a stalled client would hold its place in the limits indefinitely.
    """
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            await sending
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client stopped reading") from error


async def deliver(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Send a response and return what was sent. Raises ConnectionError like ``send``.

    Writes in pieces: asyncio accepts a single write of any size at once, as if the client had read it, and a stalled
    client would go unnoticed.
    """
    body = answer.body
    if request.method == "HEAD" or not isinstance(body, bytes) or len(body) <= PIECE_BYTES:
        pieces: list[bytes] = []
        stream: web.StreamResponse = answer
    else:
        pieces = [body[begin : begin + PIECE_BYTES] for begin in range(0, len(body), PIECE_BYTES)]
        stream = web.StreamResponse(status=answer.status, headers=answer.headers)
        stream.content_length = len(body)
    await send(request, _written(request, stream, pieces))
    return stream


async def _written(request: web.Request, stream: web.StreamResponse, pieces: list[bytes]) -> None:
    await stream.prepare(request)
    for piece in pieces:
        await stream.write(piece)
    await stream.write_eof()


def failed(failure: failures.Failure) -> web.Response:
    """A failure as a Status response, with its Retry-After header."""
    response = answer(failure.status(), failure.code)
    if failure.retry_after:
        response.headers["Retry-After"] = str(failure.retry_after)
    return response


def ranges(request: web.Request) -> list[str]:
    """The media ranges that the client accepts, in order of preference."""
    return [media for media, _ in representation.clauses(",".join(request.headers.getall("Accept", ())) or "*/*")]


def form(request: web.Request, *, streaming: bool = False) -> Form:
    """Negotiate the form of the response (object, Table, metadata only). Raises failures.Failure (400, 406)."""
    return representation.negotiate(
        ",".join(request.headers.getall("Accept", ())), request.query.get("includeObject", ""), streaming=streaming
    )


def answer(item: Object, status: int = 200, kind: str = representation.JSON) -> web.Response:
    """A JSON response, for items that are never large."""
    return _response(_encode(item), status, kind=kind)


async def answer_about(
    request: web.Request,
    objects: Collection[Object],
    make: Callable[[], Object],
    status: int = 200,
    warnings: Iterable[str] = (),
) -> web.Response:
    """A JSON response that ``make`` builds from these objects, with warnings (RFC 7234).

    ``make`` and the encoding run in the worker thread if the objects are large. Raises what ``make`` raises.
    """
    body = await request.app[encodings.WORKER].handle(objects, lambda: _encode(make()))
    return _response(body, status, warnings)


def _response(body: bytes, status: int, warnings: Iterable[str] = (), kind: str = representation.JSON) -> web.Response:
    reported = (("Warning", f"299 - {json.dumps(text)}") for text in _bounded(warnings))
    return web.Response(body=body, status=status, headers=[("Content-Type", kind), *reported])


def _encode(item: Object) -> bytes:
    """Encode list items one by one: no other thread runs during a call to the encoder."""
    parts = (f"{json.dumps(name)}:{_encode_part(part)}" for name, part in item.items())
    return f"{{{','.join(parts)}}}".encode()


def _encode_part(part: Any) -> str:
    return f"[{','.join(map(_dumped, part))}]" if isinstance(part, list) else _dumped(part)


_dumped = json.JSONEncoder(separators=(",", ":")).encode


def _bounded(warnings: Iterable[str]) -> Iterator[str]:
    """Deduplicate warnings and bound their length, truncating and dropping as Kubernetes does."""
    reported = list(dict.fromkeys(warnings))
    if sum(map(len, reported)) <= WARNINGS_LENGTH:
        yield from reported
        return
    written = 0
    for text in reported:
        if written < WARNINGS_LENGTH:
            yield text[:WARNING_LENGTH]
            written += len(text[:WARNING_LENGTH])


def published(request: web.Request, document: EncodedDocument) -> web.Response:
    """A document in the negotiated form, or 304 if the client has it already (RFC 9110, 13.1.2)."""
    headers = {"Content-Type": document.content_type, "Vary": "Accept, Accept-Encoding", "ETag": f'"{document.tag}"'}
    known = {tag.value for tag in request.if_none_match or ()}
    if known & {document.tag, "*"}:
        return web.Response(status=304, headers=headers)
    if encodings.takes_gzip(request):
        return web.Response(body=document.packed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=document.body, headers=headers)
