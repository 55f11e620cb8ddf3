"""One runtime, one owner: which Runtime a container belongs to, and who gets it when that one is deleted.

The claim is an annotation, written before anything is made, so that each process that looks at the API decides the
same (api/claims.py). Where none has claimed the deviceId, what stands decides: the label of the container, then
what this process remembers, then the status; else whoever is seen first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import pydantic

from controller import errors, names
from controller.api import claims, kinds, reasons, runtimes
from controller.backends import base
from controller.backends.protocol import Reconcilable
from controller.machinery.client import ApiClient
from controller.runtimes import objects
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.scope import Scope

Body = Mapping[str, Any]


class Ownership(NamedTuple):
    """Who owns the deviceId of a Runtime, and the other Runtimes of its namespace that have it."""

    owner: Body
    others: Sequence[Body]

    def is_of(self, runtime: Body) -> bool:
        """Whether that Runtime is the owner."""
        return bool(self.owner["metadata"]["uid"] == runtime["metadata"]["uid"])


class Owners:
    """Decides for the Runtimes of one scope; passes over the same deviceId decide one after the other."""

    def __init__(self, api: ApiClient, backend: Reconcilable, install_id: str, index: KeyIndex, scope: Scope) -> None:
        self._api = api
        self._backend = backend
        self._install_id = install_id
        self._index = index
        self._scope = scope
        self._locks: WeakValueDictionary[base.Identity, asyncio.Lock] = WeakValueDictionary()

    async def of(self, runtime: Body) -> Ownership:
        """Who owns its deviceId; it does from now on when nobody else did. Raises errors.EdgeError."""
        async with self._lock(runtime):
            others = await self._others(runtime)
            owner = claims.owner([runtime, *others])
            return Ownership(owner or await self._first(runtime, others), others)

    async def hand_over(self, owner: Body, others: Sequence[Body]) -> Key | None:
        """Give what stands to one that waits for it, as the owner is deleted; None when nobody can take it.

        Raises errors.EdgeError; done again, it ends in the same state.
        """
        able = [(other, read) for other in others if (read := self._able(other, owner))]
        for successor, read in sorted(able, key=lambda one: (one[1].spec.paused, one[1].metadata.name)):
            async with self._lock(owner):
                await self._backend.hand_over(objects.target(self._install_id, read))
                if await self._appoint(successor):
                    return _key(successor)
        return None

    async def _appoint(self, successor: Body) -> bool:
        """Have it claim the deviceId; whether it will look after the container.

        One whose deletion came in between may have been let go already, as one that owns nothing.
        """
        try:
            now = await self._write(successor, successor["metadata"]["uid"])
            if claims.is_deleting(now):
                await self._write(successor, None)
                return False
            return True
        except (errors.NotFoundError, errors.ConflictError) as error:
            message = f"{_key(successor)} was to take the container over and is gone: it is tried again"
            raise errors.Retry(reasons.STEP_FAILED, message) from error

    async def _first(self, runtime: Body, others: Sequence[Body]) -> Body:
        """The owner where none has claimed the deviceId yet."""
        presumed = await self._presumed(runtime, others)
        if claims.is_deleting(runtime):
            return presumed or next((other for other in others if not claims.is_deleting(other)), runtime)
        presumed = presumed or _active_instead(runtime, others)
        if presumed is not None and presumed is not runtime:
            return presumed
        return await self._claim(runtime, sure=presumed is runtime)

    async def _claim(self, runtime: Body, *, sure: bool) -> Body:
        """Claim the deviceId, unless another process did so meanwhile: then both withdraw and try again later.

        ``sure``: nothing speaks for another one, so that an API that takes no write now is no obstacle.
        """
        try:
            await self._write(runtime, runtime["metadata"]["uid"])
        except errors.NotFoundError:
            raise
        except errors.ApiError:
            if sure:
                return runtime
            raise
        rival = claims.owner(await self._others(runtime))
        if rival is not None:
            await self._write(runtime, None)
        return rival or runtime

    async def _presumed(self, runtime: Body, others: Sequence[Body]) -> Body | None:
        """The one that what stands speaks for."""
        if not others:
            return runtime
        all_of_them, identity = [runtime, *others], self._identity(runtime)
        made_for = await self._backend.made_for(identity)
        remembered = self._index.key_of(identity)
        named = [one for one in all_of_them if one["metadata"]["uid"] == made_for]
        known = [one for one in all_of_them if _key(one) == remembered]
        running = sorted(filter(claims.has_container, all_of_them), key=lambda one: str(one["metadata"]["uid"]))
        return next(iter([*named, *known, *running]), None)

    def _able(self, other: Body, owner: Body) -> runtimes.Runtime | None:
        """The other Runtime when it can take over as things stand: on this node and backend, and to stay."""
        node = owner["spec"].get("nodeName")
        elsewhere = self._scope.elsewhere(other["spec"]) or (other["spec"].get("nodeName") or node) != node
        if claims.is_deleting(other) or elsewhere:
            return None
        try:
            return runtimes.Runtime.model_validate(other)
        except pydantic.ValidationError:
            return None

    async def _others(self, runtime: Body) -> list[dict[str, Any]]:
        described, selector = runtime["metadata"], f"spec.deviceId={runtime['spec']['deviceId']}"
        found = await self._api.list(kinds.RUNTIMES, described["namespace"], field_selector=selector)
        return [other for other in found if other["metadata"]["uid"] != described["uid"]]

    async def _write(self, runtime: Body, claim: str | None) -> Body:
        patch = {"metadata": {"uid": runtime["metadata"]["uid"], "annotations": {names.CLAIM: claim}}}
        key = _key(runtime)
        return await self._api.patch(kinds.RUNTIMES, key.name, key.namespace, patch)

    def _identity(self, runtime: Body) -> base.Identity:
        return base.Identity(self._install_id, runtime["metadata"]["namespace"], runtime["spec"]["deviceId"])

    def _lock(self, runtime: Body) -> asyncio.Lock:
        return self._locks.setdefault(self._identity(runtime), asyncio.Lock())


def _active_instead(runtime: Body, others: Sequence[Body]) -> Body | None:
    """One that is to be reconciled, where this one is paused."""
    if not runtime["spec"].get("paused"):
        return None
    active = (other for other in others if not claims.is_deleting(other) and not other["spec"].get("paused"))
    return next(active, None)


def _key(runtime: Body) -> Key:
    return Key(runtime["metadata"]["namespace"], runtime["metadata"]["name"])
