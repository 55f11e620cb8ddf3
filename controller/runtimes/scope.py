"""Selects the Runtimes that an operator reconciles: by field selector on the server, and object by object. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.runtimes import Backend
from controller.api.served_namespaces import EVERYWHERE, ServedNamespaces

_RUNS = {"Docker": "this node runs Docker containers", "Pod": "this process runs pods"}


@dataclass(frozen=True)
class Scope:
    """The Runtimes of one backend, on one node or, with ``node`` "", on all.

    ``claims``: this is the only node, so it takes Runtimes without node and backend, and reports the ones it refuses.
    ``namespaces``: those whose Runtimes may take effect; the scope reports all others as refused.
    """

    backend: Backend
    node: str = ""
    claims: bool = False
    namespaces: ServedNamespaces = EVERYWHERE

    @property
    def selector(self) -> str:
        """The field selector; empty with ``claims``, which has to see all Runtimes."""
        if self.claims:
            return ""
        return ",".join([*([f"spec.nodeName={self.node}"] if self.node else []), f"spec.backend={self.backend}"])

    def elsewhere(self, spec: Mapping[str, Any]) -> str:
        """Why a Runtime is out of scope, as a message; "" if it is in scope."""
        node, backend = spec.get("nodeName"), spec.get("backend")
        # A Runtime without a backend is one for a node; the scope of pods has no node and waits for the placement.
        if backend != self.backend and not (backend is None and self.node):
            return f"spec.backend is {backend}, and {_RUNS[self.backend]}: remove it or set it to {self.backend}"
        if self.node and node != self.node and not (node is None and self.claims):
            return f"spec.nodeName is {node}, and this node is {self.node}: recreate it with that name"
        return ""

    def unset(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """The fields to set in the spec of a Runtime in scope."""
        desired = {"nodeName": self.node, "backend": self.backend}
        return {name: value for name, value in desired.items() if value and not spec.get(name)}
