"""Decides who may query a node. As for a kubelet, the API checks token and permission (TokenReview,
SubjectAccessReview).

The token's audience must be names.NODE_AUDIENCE: a token for the API is not accepted here, and this one not there. The
permission is ``create`` on ``edgenodes/proxy``.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, NamedTuple

from controller import names
from controller.api import kinds
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient

KEPT_SECONDS = 30.0
KEPT_COUNT = 64
REVIEWS_AT_ONCE = 4  # callers with made-up tokens must not overload the API


class Verdict(NamedTuple):
    """``status`` is an HTTP status (200, 401 or 403); ``reason`` is one sentence for a person."""

    status: int
    reason: str = ""


class NodeAuthorizer:
    """Authorizes callers of the node ``node``; a verdict is cached for half a minute."""

    def __init__(self, api: ApiClient, node: str) -> None:
        self._api = api
        self._node = node
        self._asking = asyncio.Semaphore(REVIEWS_AT_ONCE)
        self._kept: dict[str, tuple[float, Verdict]] = {}

    async def judge(self, authorization: str) -> Verdict:
        """The verdict on an ``Authorization`` header. Raises errors.ApiError when the API cannot be asked."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Verdict(401, "give a bearer token")
        key, now = hashlib.sha256(token.encode()).hexdigest(), asyncio.get_running_loop().time()
        judged_at, verdict = self._kept.get(key, (float("-inf"), Verdict(401)))
        if now - judged_at > KEPT_SECONDS:
            async with self._asking:
                verdict = await self._ask(token)
            self._keep(key, now, verdict)
        return verdict

    def _keep(self, key: str, now: float, verdict: Verdict) -> None:
        self._kept.pop(key, None)
        while len(self._kept) >= KEPT_COUNT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (now, verdict)

    async def _ask(self, token: str) -> Verdict:
        spec = {"token": token, "audiences": [names.NODE_AUDIENCE]}
        found = (await self._api.create(core_kinds.TOKEN_REVIEWS, {"metadata": {}, "spec": spec})).get("status") or {}
        # A server that returns no audiences has not checked them (API reference: TokenReviewStatus).
        if not found.get("authenticated") or names.NODE_AUDIENCE not in (found.get("audiences") or ()):
            return Verdict(401, f"the token is not valid for nodes (audience {names.NODE_AUDIENCE})")
        user = found.get("user") or {}
        if await self._may(user):
            return Verdict(200)
        return Verdict(403, f"{user.get('username')} may not create edgenodes/proxy of {self._node}")

    async def _may(self, user: dict[str, Any]) -> bool:
        attributes = {
            "group": names.GROUP,
            "version": names.VERSION,
            "resource": kinds.EDGE_NODES.plural,
            "subresource": "proxy",
            "verb": "create",
            "name": self._node,
        }
        spec = {"user": user.get("username"), "groups": user.get("groups") or [], "resourceAttributes": attributes}
        review = await self._api.create(core_kinds.ACCESS_REVIEWS, {"metadata": {}, "spec": spec})
        return bool((review.get("status") or {}).get("allowed"))
