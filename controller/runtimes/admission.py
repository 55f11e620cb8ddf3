"""Decides whether this process reconciles a Runtime: whether it exists, is in scope and readable, and who owns it.

Touches no container, except that a deleted owner hands its container over.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pydantic

from controller import errors, names
from controller.api import claims, kinds, reasons
from controller.api.runtime_status import RuntimeStatus
from controller.api.runtimes import Runtime
from controller.machinery.client import ApiClient
from controller.runtimes import objects, status
from controller.runtimes import outcome as outcomes
from controller.runtimes.facets import dedicated_interface
from controller.runtimes.keys import Key, Version
from controller.runtimes.outcome import Outcome, of_reason
from controller.runtimes.owners import Owners
from controller.runtimes.result import GONE, NO_FINALIZER, NOT_OURS, Result
from controller.runtimes.scope import Scope

log = logging.getLogger(__name__)


class Admitted(NamedTuple):
    """A Runtime to reconcile, its status on the wire, and the rival for its dedicated interface, "" for none."""

    runtime: Runtime
    status: dict[str, Any]
    rival: str

    @property
    def deleting(self) -> bool:
        """Whether it is being deleted."""
        return self.runtime.metadata.deletion_timestamp is not None


class Refused(NamedTuple):
    """A Runtime that is not reconciled: the outcome to report, with what is still known of its status.

    ``disowned``: its container, if any, belongs to another Runtime.
    """

    runtime: Runtime
    outcome: Outcome
    known: RuntimeStatus
    node: str | None
    disowned: bool = False


class Outage(NamedTuple):
    """The API does not answer: only repairs by what was last read are possible."""

    error: errors.ApiError


Decision = Admitted | Refused | Outage | Result
"""A Result: nothing is to be done, or all is done already."""


class Admission:
    """Decides for the Runtimes of one scope; ``node`` runs them."""

    def __init__(self, api: ApiClient, owners: Owners, scope: Scope, node: str) -> None:
        self._api = api
        self._owners = owners
        self._scope = scope
        self._node = node

    async def admit(self, key: Key, read: Callable[[Version], None]) -> Decision:
        """Read the Runtime and decide. Claims its deviceId, and completes its spec with node and backend.

        ``read`` is called with the version that was read, before anything else is waited for.

        Raises errors.NotFoundError, and errors.EdgeError when the decision needs the API or the engine.
        """
        try:
            body, others = await self._owners.read(key)
        # An answer, unlike the errors below: the Runtime is gone.
        except errors.NotFoundError:
            raise
        except errors.ApiError as outage:
            return Outage(outage)
        read(Version.of(body["metadata"]))
        deleting = bool(body["metadata"].get("deletionTimestamp"))
        if elsewhere := self._scope.elsewhere(body["spec"]):
            # This may be the only node: no other process would report that the Runtime is not run anywhere.
            return self._refused(body, elsewhere) if self._scope.claims and not deleting else NOT_OURS
        # Nothing may exist before kopf has added the finalizer: a deletion would not wait for the cleanup.
        if names.FINALIZER not in (body["metadata"].get("finalizers") or ()):
            return GONE if deleting else NO_FINALIZER
        if not deleting:
            if not self._scope.namespaces.accepts(body):
                return _unserved(body)
            # Before it is parsed, as the write changes the generation.
            body = await self._assign(key, body)
        try:
            runtime = Runtime.model_validate(body)
        except pydantic.ValidationError as error:
            if not deleting:
                return self._refused(body, objects.fault(error))
            # What cannot be read must not block its own deletion.
            runtime = objects.bare(body)
        return (
            await self._admit_deleted(key, runtime, body)
            if deleting
            else await self._admit_owner(runtime, body, others)
        )

    def unquestioned(self, body: dict[str, Any]) -> Runtime | None:
        """The Runtime if its object alone proves that it is admitted, unless another shares its deviceId; else None."""
        metadata, spec = body["metadata"], body["spec"]
        unclear = self._scope.elsewhere(spec) or self._scope.unset(spec) or spec.get("dedicatedInterface")
        unclear = unclear or not self._scope.namespaces.serves(metadata["namespace"])
        ours = claims.has_claim(body) and names.FINALIZER in (metadata.get("finalizers") or ())
        if unclear or not ours or claims.is_deleting(body):
            return None
        with contextlib.suppress(pydantic.ValidationError):
            return Runtime.model_validate(body)
        return None

    async def _admit_owner(
        self, runtime: Runtime, body: dict[str, Any], others: Sequence[Mapping[str, Any]] | None
    ) -> Decision:
        """Admit the owner of the deviceId; another Runtime waits and touches nothing."""
        try:
            ownership, rival = await self._owners.of(body, others), await self._rival(runtime)
        except errors.NotFoundError:
            raise
        except errors.ApiError as outage:
            return Outage(outage)
        # The engine may be needed to decide: without it the Runtime waits, and its status says for what.
        except errors.EdgeError as error:
            return Refused(runtime, outcomes.of_error(error), runtime.status, runtime.status.node)
        if ownership.is_of(body):
            return Admitted(runtime, body.get("status") or {}, rival)
        known = status.without_container(runtime.status)
        return Refused(runtime, outcomes.owned_by(ownership.owner), known, known.node, disowned=True)

    async def _admit_deleted(self, key: Key, runtime: Runtime, body: dict[str, Any]) -> Decision:
        """Admit a deleted owner without a successor."""
        ownership, rival = await self._owners.of(body), await self._rival(runtime)
        if not ownership.is_of(body):
            return GONE
        if successor := await self._owners.hand_over(body, ownership.others):
            log.info("Handed the container of %s over to %s", key, successor, extra={"runtime": str(key)})
            # The successor gets no event of its own: nothing in its spec has changed.
            return Result(GONE.outcome, wake=(successor,))
        return Admitted(runtime, body.get("status") or {}, rival)

    async def _assign(self, key: Key, body: dict[str, Any]) -> dict[str, Any]:
        """Set nodeName and backend where they are not set yet."""
        missing = self._scope.unset(body["spec"])
        if not missing:
            return body
        return await self._api.patch(kinds.RUNTIMES, key.name, key.namespace, {"spec": missing})

    def _refused(self, body: dict[str, Any], message: str) -> Refused:
        """Why a Runtime is not reconciled that is out of scope or cannot be read."""
        bare = objects.bare(body)
        return Refused(bare, of_reason(reasons.SPEC_IMPOSSIBLE, message), bare.status, self._node)

    async def _rival(self, runtime: Runtime) -> str:
        """The rival for its dedicated interface among the Runtimes of this node, "" for none."""
        if runtime.spec.dedicated_interface is None:
            return ""
        found = await self._api.list(kinds.RUNTIMES, field_selector=f"spec.nodeName={self._node}")
        return dedicated_interface.rival(runtime, filter(self._scope.namespaces.accepts, found))


def _unserved(body: dict[str, Any]) -> Refused:
    """The refusal of a Runtime in a namespace that is not served; its container, if any, is left as it is."""
    bare = objects.bare(body)
    node = bare.status.node or body["spec"].get("nodeName")
    return Refused(bare, outcomes.unserved(bare.metadata.namespace), bare.status, node)
