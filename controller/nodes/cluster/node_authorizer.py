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

CACHE_SECONDS = 30.0
CACHE_SIZE = 64
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
        self._review_slots = asyncio.Semaphore(REVIEWS_AT_ONCE)
        self._cache: dict[str, tuple[float, Verdict]] = {}

    async def authorize(self, authorization: str) -> Verdict:
        """The verdict on an ``Authorization`` header. Raises errors.ApiError when the API cannot be asked."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Verdict(401, "give a bearer token")
        # Only a digest, so that the cache contains no tokens.
        key, now = hashlib.sha256(token.encode()).hexdigest(), asyncio.get_running_loop().time()
        decided_at, verdict = self._cache.get(key, (float("-inf"), Verdict(401)))
        if now - decided_at > CACHE_SECONDS:
            async with self._review_slots:
                verdict = await self._review(token)
            self._store(key, now, verdict)
        return verdict

    def _store(self, key: str, now: float, verdict: Verdict) -> None:
        self._cache.pop(key, None)
        if len(self._cache) >= CACHE_SIZE:
            # Refusals first: callers with made-up tokens must not push out a token that is known.
            refused = (known for known, (_, each) in self._cache.items() if each.status != 200)
            del self._cache[next(refused, next(iter(self._cache)))]
        self._cache[key] = (now, verdict)

    async def _review(self, token: str) -> Verdict:
        spec = {"token": token, "audiences": [names.NODE_AUDIENCE]}
        found = (await self._api.create(core_kinds.TOKEN_REVIEWS, {"metadata": {}, "spec": spec})).get("status") or {}
        # A server that returns no audiences has not checked them (API reference: TokenReviewStatus).
        if not found.get("authenticated") or names.NODE_AUDIENCE not in (found.get("audiences") or ()):
            return Verdict(401, f"the token is not valid for nodes (audience {names.NODE_AUDIENCE})")
        user = found.get("user") or {}
        if await self._is_allowed(user):
            return Verdict(200)
        return Verdict(403, f"{user.get('username')} may not create edgenodes/proxy of {self._node}")

    async def _is_allowed(self, user: dict[str, Any]) -> bool:
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
