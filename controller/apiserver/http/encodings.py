"""The last step of a response: YAML or indented JSON if requested, gzip if large.

Slow work runs in the worker thread.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from aiohttp import web

from controller.apiserver.http import yaml_answers
from controller.apiserver.http.limits import TURN
from controller.apiserver.objects import representation
from controller.apiserver.worker import Worker

GZIP_BYTES = 128 << 10  # as in Kubernetes: below this, compression costs more than it saves
GZIP_LEVEL = 1
TRUE = ("1", "true")
WORKER = web.AppKey("worker", Worker)

T = TypeVar("T")


async def encode(request: web.Request, answer: web.Response) -> None:
    """Encode the response in place. Leaves streams, plain text and documents that are already encoded unchanged."""
    if answer.content_type != representation.JSON or not isinstance(answer.body, bytes) or "Vary" in answer.headers:
        return
    if representation.prefers_yaml(",".join(request.headers.getall("Accept", ()))):
        answer.body = await in_turn(request, partial(_to_yaml, answer.body))
        answer.headers["Content-Type"] = representation.YAML
    elif request.query.get("pretty") in TRUE:
        answer.body = await in_turn(request, partial(_indented, answer.body))
    await _compress(request, answer)


async def in_turn(request: web.Request, work: Callable[[], T]) -> T:
    """Run work in the worker thread, one job per user at a time, so that no user waits for all jobs of another."""
    async with request[TURN]:
        return await request.app[WORKER].run(work)


async def _compress(request: web.Request, answer: web.Response) -> None:
    body = answer.body
    if not isinstance(body, bytes) or len(body) < GZIP_BYTES:
        return
    answer.headers["Vary"] = "Accept-Encoding"
    if takes_gzip(request):
        answer.body = await in_turn(request, partial(gzip.compress, body, GZIP_LEVEL))
        answer.headers["Content-Encoding"] = "gzip"


def takes_gzip(request: web.Request) -> bool:
    """Whether the client accepts gzip (RFC 9110, 12.5.3). Weights other than 0 do not matter: we offer only gzip."""
    accepted = request.headers.get("Accept-Encoding", "")
    offers = dict(offer.replace(" ", "").lower().partition(";q=")[::2] for offer in accepted.split(","))
    return "gzip" in offers and (offers["gzip"] or "1").strip("0.") != ""


def _to_yaml(body: bytes) -> bytes:
    return yaml_answers.encode(json.loads(body))


def _indented(body: bytes) -> bytes:
    return json.dumps(json.loads(body), indent=2).encode() + b"\n"
