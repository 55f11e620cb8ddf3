"""Decides which Runtime owns a container, and which one takes over when the owner is deleted.

The owner claims its deviceId with an annotation before anything is created, so every process that reads the API comes
to the same decision (api/claims.py). Without a claim, the evidence decides in this order: the label of the container,
the index of this process, the status; else the Runtime that is seen first.
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
from controller.machinery import writes
from controller.machinery.client import ApiClient
from controller.runtimes import objects
from controller.runtimes.keys import Key, KeyIndex
from controller.runtimes.scope import Scope
from controller.runtimes.turns import Turns

Body = Mapping[str, Any]


class Ownership(NamedTuple):
    """The owner of a Runtime's deviceId, and the other Runtimes of its namespace with that deviceId."""

    owner: Body
    others: Sequence[Body]

    def is_of(self, runtime: Body) -> bool:
        """Whether the Runtime is the owner."""
        return bool(self.owner["metadata"]["uid"] == runtime["metadata"]["uid"])


class Owners:
    """Decides for the Runtimes of one scope; decisions about the same deviceId are serialized."""

    def __init__(
        self, api: ApiClient, backend: Reconcilable, install_id: str, index: KeyIndex, scope: Scope, turns: Turns
    ) -> None:
        self._api = api
        self._backend = backend
        self._install_id = install_id
        self._index = index
        self._scope = scope
        self._turns = turns
        # Weak: a lock exists while somebody holds it or waits for it, so nobody has to remove it.
        self._locks: WeakValueDictionary[base.Identity, asyncio.Lock] = WeakValueDictionary()

    async def read(self, key: Key) -> tuple[dict[str, Any], Sequence[Body] | None]:
        """The Runtime, and the others with its deviceId if an earlier pass has read that: one request for both.

        Raises errors.ApiError.
        """
        if identity := self._index.identity_of(key):
            found = await self._sharing(identity.namespace, identity.device_id)
            if own := next((one for one in found if _key(one) == key), None):
                return own, [other for other in found if other is not own]
        return await self._api.get(kinds.RUNTIMES, key.name, key.namespace), None

    async def of(self, runtime: Body, others: Sequence[Body] | None = None) -> Ownership:
        """The owner of its deviceId; a deviceId without an owner is claimed. Raises errors.EdgeError.

        ``others`` were read together with the Runtime, which suffices to see whose claim it is.
        """
        async with self._lock(runtime):
            if others is None or not claims.has_claim(runtime):
                if await self._claimed_alone(runtime):
                    return Ownership(runtime, ())
                others = await self._others(runtime)
            owner = claims.owner([runtime, *others])
            return Ownership(owner or await self._decide_unclaimed(runtime, others), others)

    async def hand_over(self, owner: Body, others: Sequence[Body]) -> Key | None:
        """Hand the container of a deleted owner over to a successor and return its key; None if there is none.

        Idempotent. Raises errors.EdgeError.
        """
        candidates = [(other, read) for other in others if (read := self._as_successor(other, owner))]
        for successor, read in sorted(candidates, key=lambda one: (one[1].spec.paused, one[1].metadata.name)):
            async with self._lock(owner):
                # Before the claim, after which the old object goes, and with it what still has its owner reference.
                await self._turns.outside(self._backend.hand_over(objects.target(self._install_id, read)))
                if await self._claim_for(successor):
                    return _key(successor)
        return None

    async def _claim_for(self, successor: Body) -> bool:
        """Write the successor's claim; whether it took over.

        A successor deleted in between may have lost its finalizer already, because it owned nothing: it would never
        remove the container.
        """
        try:
            # Without room for a claim, it becomes the owner as the only one with the deviceId.
            claim = successor["metadata"]["uid"] if _has_room(successor) else None
            now = await self._write(successor, claim)
            if claims.is_deleting(now):
                await self._write(successor, None)
                return False
            return True
        except (errors.NotFoundError, errors.ConflictError) as error:
            message = f"The successor {_key(successor)} no longer exists: the handover is retried"
            raise errors.Retry(reasons.STEP_FAILED, message) from error

    async def _claimed_alone(self, runtime: Body) -> bool:
        """Claim the deviceId if no other Runtime has it, all in one request; whether that succeeded.

        Without transactions, or with another Runtime, that takes a list, the write and another list.
        """
        decided = claims.has_claim(runtime) or claims.is_deleting(runtime) or not _has_room(runtime)
        if not self._api.has_transactions or decided:
            return False
        key, device_id = _key(runtime), runtime["spec"]["deviceId"]
        others = f"spec.deviceId={device_id},metadata.namespace={key.namespace},metadata.name!={key.name}"
        claim = writes.merge(kinds.RUNTIMES, key.name, key.namespace, _claim_patch(runtime, runtime["metadata"]["uid"]))
        try:
            await self._api.transaction(claim, unless=writes.selection(kinds.RUNTIMES, others))
        except errors.ApiError:  # also an outage, which the list that follows reports
            return False
        return True

    async def _decide_unclaimed(self, runtime: Body, others: Sequence[Body]) -> Body:
        """The owner of a deviceId without a claim."""
        presumed = await self._presumed(runtime, others)
        # In doubt another Runtime is the owner, so that the container is not removed with this one.
        if claims.is_deleting(runtime):
            return presumed or next((other for other in others if not claims.is_deleting(other)), runtime)
        presumed = presumed or _active_alternative(runtime, others)
        if presumed is not None and presumed is not runtime:
            return presumed
        return await self._claim(runtime, sure=presumed is runtime)

    async def _claim(self, runtime: Body, *, sure: bool) -> Body:
        """Claim the deviceId. If another process did so at the same time, both withdraw and try again later.

        ``sure``: the evidence is for this Runtime, so it is the owner even if the API rejects the write for now.
        """
        if sure and not _has_room(runtime):
            return runtime
        try:
            await self._write(runtime, runtime["metadata"]["uid"])
        except errors.NotFoundError:
            raise
        except errors.ApiError:
            if sure:
                return runtime
            raise
        # Each process writes before it checks, so of two that claim at once, at least one sees the other.
        rival = claims.owner(await self._others(runtime))
        if rival is not None:
            await self._write(runtime, None)
        return rival or runtime

    async def _presumed(self, runtime: Body, others: Sequence[Body]) -> Body | None:
        """The owner according to the evidence: container label, index, status; None without any."""
        if not others:
            return runtime
        candidates, identity = [runtime, *others], self._identity(runtime)
        owner_uid = await self._turns.outside(self._backend.owner_uid(identity))
        remembered = self._index.key_of(identity)
        labelled = [one for one in candidates if one["metadata"]["uid"] == owner_uid]
        indexed = [one for one in candidates if _key(one) == remembered]
        # By uid, so that every process picks the same one.
        with_container = sorted(filter(claims.has_container, candidates), key=lambda one: str(one["metadata"]["uid"]))
        return next(iter([*labelled, *indexed, *with_container]), None)

    def _as_successor(self, other: Body, owner: Body) -> runtimes.Runtime | None:
        """The other Runtime if it can take over: on this node and backend, readable, and not being deleted."""
        node = owner["spec"].get("nodeName")
        elsewhere = self._scope.elsewhere(other["spec"]) or (other["spec"].get("nodeName") or node) != node
        if claims.is_deleting(other) or elsewhere:
            return None
        try:
            return runtimes.Runtime.model_validate(other)
        except pydantic.ValidationError:
            return None

    async def _others(self, runtime: Body) -> list[dict[str, Any]]:
        found = await self._sharing(runtime["metadata"]["namespace"], runtime["spec"]["deviceId"])
        return [other for other in found if other["metadata"]["uid"] != runtime["metadata"]["uid"]]

    async def _sharing(self, namespace: str, device_id: str) -> list[dict[str, Any]]:
        return await self._api.list(kinds.RUNTIMES, namespace, field_selector=f"spec.deviceId={device_id}")

    async def _write(self, runtime: Body, claim: str | None) -> Body:
        key = _key(runtime)
        return await self._api.patch(kinds.RUNTIMES, key.name, key.namespace, _claim_patch(runtime, claim))

    def _identity(self, runtime: Body) -> base.Identity:
        return base.Identity(self._install_id, runtime["metadata"]["namespace"], runtime["spec"]["deviceId"])

    def _lock(self, runtime: Body) -> asyncio.Lock:
        return self._locks.setdefault(self._identity(runtime), asyncio.Lock())


def _has_room(runtime: Body) -> bool:
    metadata = runtime["metadata"]
    return claims.has_room(metadata.get("annotations") or {}, metadata["uid"])


def _claim_patch(runtime: Body, claim: str | None) -> dict[str, Any]:
    # The uid makes the API refuse the write (409) if another object has the name by now.
    return {"metadata": {"uid": runtime["metadata"]["uid"], "annotations": {names.CLAIM: claim}}}


def _active_alternative(runtime: Body, others: Sequence[Body]) -> Body | None:
    """Another Runtime that is not paused, if this one is."""
    if not runtime["spec"].get("paused"):
        return None
    active = (other for other in others if not claims.is_deleting(other) and not other["spec"].get("paused"))
    return next(active, None)


def _key(runtime: Body) -> Key:
    return Key(runtime["metadata"]["namespace"], runtime["metadata"]["name"])
