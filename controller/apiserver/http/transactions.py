"""Several writes in one request, all or none of which take effect, also after a power cut.

Kubernetes has no such request; this one is for the controller, which journals a command together with what it changes,
and is served to its process only.
Each write needs the same rights, and is checked and logged, as if it was sent alone. One difference: a created object
keeps its status, which needs the right to write that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from controller.apiserver import failures
from controller.apiserver.access import attributes, audit
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Policy
from controller.apiserver.access.identities import Identity
from controller.apiserver.http import request_bodies, responses
from controller.apiserver.incoming import Incoming
from controller.apiserver.objects import request_options
from controller.apiserver.verbs import presentation, writing
from controller.apiserver.verbs.reading import Reading
from controller.apiserver.verbs.writing import ResourceRef, Step, Verbs

WRITES = 8  # in one request
FORM = (
    "the body must be {writes: [{method: POST or PATCH, path, body}, ...]} with 1 to 8 writes, and unless: {path, "
    "selector} for a field selector that must match no object"
)


class Transactions:
    """``written`` returns what a write is about, ``listed`` what a list is about; both raise failures.Failure."""

    def __init__(
        self,
        verbs: Verbs,
        reading: Reading,
        policy: Policy,
        written: Callable[[str, Attributes], ResourceRef],
        listed: Callable[[Attributes], ResourceRef],
    ) -> None:
        self._verbs = verbs
        self._reading = reading
        self._policy = policy
        self._written = written
        self._listed = listed

    async def answer(self, request: Incoming, user: Identity) -> web.Response:
        """Run the writes; respond with the written objects, or with the Status of the first write that failed."""
        began, body = time.monotonic(), await request_bodies.body(request)
        writes = body.get("writes") if isinstance(body, dict) else None
        if not isinstance(writes, list) or not 0 < len(writes) <= WRITES:
            raise failures.bad_request(FORM)
        steps = [self._step(request, user, write) for write in writes]
        checks = self._checks(user, body.get("unless"))
        done = await self._verbs.together([step for _, step in steps], checks)
        for attrs, step in steps:
            noted = attrs._replace(name=step.ref.name)
            audit.note(request, user, noted, 201 if attrs.verb == "create" else 200, time.monotonic() - began)
        pairs = [(step.ref.resource, made) for (_, step), made in zip(steps, done, strict=True)]
        objects = [presentation.text(resource, made.object) for resource, made in pairs]
        return responses.of_text(f'{{"objects":[{",".join(objects)}]}}')

    def _checks(self, user: Identity, unless: Any) -> list[Step]:
        """The step that raises failures.Failure (409) if ``unless`` selects an object; none without ``unless``."""
        match unless:
            case None:
                return []
            case {"path": str(path), "selector": str(selector)}:
                attrs = attributes.of_url("GET", unquote(path), {})
            case _:
                raise failures.bad_request(FORM)
        self._policy.check(user, attrs)
        if attrs.verb != "list":
            raise failures.bad_request(FORM)
        ref = self._listed(attrs)
        return [Step(ref, self._reading.absence(ref, selector))]

    def _step(self, request: Incoming, user: Identity, write: Any) -> tuple[Attributes, Step]:
        match write:
            case {"method": "POST" | "PATCH" as method, "path": str(path), "body": dict(body)}:
                attrs = attributes.of_url(method, unquote(path), {})
            case _:
                raise failures.bad_request(FORM)
        self._policy.check(user, attrs)
        ref = self._written(method, attrs)
        agent = request.headers.get("User-Agent", "")
        options = request_options.of_write(request.query, agent, attrs.subresource)
        if method == "POST" and "status" in body:
            self._policy.check(user, attrs._replace(verb="patch", subresource="status"))
            options = replace(options, keeps_status=True)
        if (method == "POST") == bool(attrs.name) or attrs.subresource not in ("", "status"):
            raise failures.method_not_allowed()
        return attrs, writing.creation(ref, body, options) if method == "POST" else writing.merge(ref, body, options)
