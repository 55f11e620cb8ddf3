"""Build, encode and send responses: JSON, or YAML and gzip as the client asks.

Slow work runs in the worker thread. YAML has its own encoder, because libyaml writes a document in one call that holds
the interpreter lock: eight megabytes blocked the process for four seconds.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from aiohttp import web

from controller.apiserver import failures, texts
from controller.apiserver.documents.openapi import EncodedDocument
from controller.apiserver.http.limits import WORKER, in_turn
from controller.apiserver.incoming import Incoming
from controller.apiserver.objects import representation
from controller.apiserver.objects.representation import Form

Object = dict[str, Any]

# Responses may hold secrets: no proxy or browser may cache them or guess another content type.
HEADERS = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff", "Server": "edge-controller"}

PIECE_BYTES = 64 << 10  # of a response written at once, and buffered per connection
STALLED_SECONDS = 60.0  # in which a client must read a response or a watch event
GZIP_BYTES = 128 << 10  # as in Kubernetes: below this, compression costs more than it saves
# As in Kubernetes: higher levels take more time and save little.
GZIP_LEVEL = 1
TRUE = ("1", "true")
# Characters of all warnings; if they exceed that, of each warning.
WARNINGS_LENGTH, WARNING_LENGTH = 4096, 256
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def send(request: web.Request, sending: Awaitable[None]) -> None:
    """Await a send. Raises ConnectionResetError if the client has gone or stopped reading.

    Without the timeout a stalled client would hold its place in the limits indefinitely.
    """
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            await sending
    except TimeoutError as error:
        if request.transport is not None:
            # close() would wait until the client reads what is buffered.
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


def ranges(request: Incoming) -> list[str]:
    """The media ranges that the client accepts, in order of preference."""
    return [media for media, _ in representation.clauses(",".join(request.headers.getall("Accept", ())) or "*/*")]


def prefers_aggregated(request: Incoming) -> bool:
    """Whether the client prefers aggregated discovery, which Kubernetes 1.35 serves as v2 only."""
    return representation.prefers_aggregated(",".join(request.headers.getall("Accept", ())))


def form(request: Incoming, *, streaming: bool = False) -> Form:
    """Negotiate the form of the response (object, Table, metadata only). Raises failures.Failure (400, 406)."""
    return representation.negotiate(
        ",".join(request.headers.getall("Accept", ())), request.query.get("includeObject", ""), streaming=streaming
    )


def answer(item: Object, status: int = 200, kind: str = representation.JSON) -> web.Response:
    """A JSON response, for items that are never large."""
    return of_text(texts.encoded(item), status, kind=kind)


async def made(
    request: Incoming, make: Callable[[], str], status: int = 200, warnings: Iterable[str] = (), *, large: bool
) -> web.Response:
    """A JSON response with the text that ``make`` returns, and warnings (RFC 7234).

    ``make`` runs in the worker thread if it is about something large. Raises what ``make`` raises.
    """
    # Not in_turn: a list already holds its user's turn, and the lock is not reentrant.
    return of_text(await request.app[WORKER].handle(make, large=large), status, warnings)


def of_text(
    text: str, status: int = 200, warnings: Iterable[str] = (), kind: str = representation.JSON
) -> web.Response:
    """A JSON response with this text."""
    # JSON quoting also escapes line breaks and non-ASCII text, which must not get into a header.
    reported = (("Warning", f"299 - {json.dumps(text)}") for text in _bounded(warnings))
    return web.Response(body=text.encode(), status=status, headers=[("Content-Type", kind), *reported])


def encoded_list(item: Object) -> str:
    """The JSON of a list. Encodes its items one by one: no other thread runs during a call to the encoder."""
    parts = (f"{json.dumps(name)}:{_encoded_part(part)}" for name, part in item.items())
    return f"{{{','.join(parts)}}}"


def _encoded_part(part: Any) -> str:
    return f"[{','.join(map(texts.of, part))}]" if isinstance(part, list) else texts.encoded(part)


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
    if takes_gzip(request):
        return web.Response(body=document.packed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=document.body, headers=headers)


async def finish(request: Incoming, answer: web.Response) -> None:
    """Encode the response in place. Leaves streams, plain text and documents that are already encoded unchanged."""
    if answer.content_type != representation.JSON or not isinstance(answer.body, bytes) or "Vary" in answer.headers:
        return
    if representation.prefers_yaml(",".join(request.headers.getall("Accept", ()))):
        answer.body = await in_turn(request, partial(_to_yaml, answer.body))
        answer.headers["Content-Type"] = representation.YAML
    elif request.query.get("pretty") in TRUE:
        answer.body = await in_turn(request, partial(_indented, answer.body))
    await _compress(request, answer)


async def _compress(request: Incoming, answer: web.Response) -> None:
    body = answer.body
    if not isinstance(body, bytes) or len(body) < GZIP_BYTES:
        return
    # Also on the uncompressed form, since a cache may hold either (RFC 9110, 12.5.5).
    answer.headers["Vary"] = "Accept-Encoding"
    if takes_gzip(request):
        answer.body = await in_turn(request, partial(gzip.compress, body, GZIP_LEVEL))
        answer.headers["Content-Encoding"] = "gzip"


def takes_gzip(request: Incoming) -> bool:
    """Whether the client accepts gzip (RFC 9110, 12.5.3). Weights other than 0 do not matter: we offer only gzip."""
    accepted = request.headers.get("Accept-Encoding", "")
    offers = dict(offer.replace(" ", "").lower().partition(";q=")[::2] for offer in accepted.split(","))
    return "gzip" in offers and (offers["gzip"] or "1").strip("0.") != ""


def _to_yaml(body: bytes) -> bytes:
    return encode(json.loads(body))


def _indented(body: bytes) -> bytes:
    return json.dumps(json.loads(body), indent=2).encode() + b"\n"


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*+")
# YAML 1.1 reads these words as booleans and null, also as keys: an unquoted field y would become true.
_RESERVED = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # JSON escapes the others
KEY_LENGTH = 80  # longer keys get an explicit "?": YAML limits implicit keys to 1024 characters, including escapes


def encode(item: dict[str, Any]) -> bytes:
    """Encode an object as a YAML document."""
    if not item:
        return b"{}\n"
    lines: list[str] = []
    _write(item, "", "", lines)
    return "\n".join([*lines, ""]).encode()


def _write(value: Any, indent: str, first: str, lines: list[str]) -> None:
    """Append the entries of a list or an object; ``first`` is the prefix of the first entry's line."""
    listed = isinstance(value, list)
    for name, part in (("", part) for part in value) if listed else value.items():
        head = f"{first or indent}{'-' if listed else _key(name, indent)}"
        first = ""
        if not part or not isinstance(part, (dict, list)):
            lines.append(f"{head} {_scalar(part)}")
        elif listed:
            _write(part, f"{indent}  ", f"{head} ", lines)
        else:
            lines.append(head)
            # A list is not indented further than its key, as in kubectl's output.
            _write(part, indent if isinstance(part, list) else f"{indent}  ", "", lines)


def _key(name: str, indent: str) -> str:
    return f"{_scalar(name)}:" if len(name) <= KEY_LENGTH else f"? {_scalar(name)}\n{indent}:"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
            return value
        text = json.dumps(value, ensure_ascii=False)
        return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    text = json.dumps(value)
    if isinstance(value, float) and "." not in text:
        return text.replace("e", ".0e")  # without the point YAML 1.1 parses it as a string
    return text
