"""What the API has about this node: the conditions of its EdgeNode, and its Runtimes. Read again only after a write."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pydantic

from controller import errors
from controller.api import edgenodes, kinds
from controller.api.served_namespaces import ServedNamespaces
from controller.machinery.client import ApiClient
from controller.machinery.conditions import Condition


class Use(NamedTuple):
    """The host interfaces that a runtime uses."""

    device_id: str
    parents: tuple[str, ...]
    dedicated: str


class Records(NamedTuple):
    """The EdgeNode's conditions, what each of the node's Runtimes uses, and how many have each condition and status."""

    conditions: tuple[Condition, ...]
    uses: Sequence[Use]
    counts: Mapping[tuple[str, str], int]


class NodeRecords:
    """Reads the records of the node ``name``. A Runtime outside of the ``served`` namespaces uses nothing of it."""

    def __init__(self, api: ApiClient, name: str, served: ServedNamespaces) -> None:
        self._api = api
        self._name = name
        self._served = served
        self._revision = ""
        self._read = Records((), (), {})

    async def read(self) -> Records:
        """The current records; creates the EdgeNode when there is none. Raises errors.ApiError."""
        # Before the records: a write between the two is found by the next read.
        revision = await self._api.revision(kinds.RUNTIMES)
        if not revision or revision != self._revision:
            conditions = await self._conditions()
            runtimes = await self._api.list(kinds.RUNTIMES, field_selector=f"spec.nodeName={self._name}")
            uses = [_use(runtime["spec"]) for runtime in runtimes if self._served.accepts(runtime)]
            self._read = Records(conditions, uses, _count(runtimes))
            self._revision = revision
        return self._read

    async def _conditions(self) -> tuple[Condition, ...]:
        try:
            found = await self._api.get(kinds.EDGE_NODES, self._name)
        except errors.NotFoundError:
            with contextlib.suppress(errors.AlreadyExistsError):
                await self._api.create(kinds.EDGE_NODES, {"metadata": {"name": self._name}, "spec": {}})
            return ()
        try:
            return edgenodes.EdgeNode.model_validate(found).status.conditions
        except pydantic.ValidationError:  # written by another version: replace it
            return ()


def _use(spec: Mapping[str, Any]) -> Use:
    parents = tuple(interface["parentInterface"] for interface in spec.get("interfaces") or ())
    return Use(spec["deviceId"], parents, spec.get("dedicatedInterface") or "")


def _count(runtimes: Sequence[Mapping[str, Any]]) -> Mapping[tuple[str, str], int]:
    found = ((runtime.get("status") or {}).get("conditions") or () for runtime in runtimes)
    return Counter((c["type"], c["status"]) for conditions in found for c in conditions)
