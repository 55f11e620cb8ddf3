"""Which Runtimes an operator cares for: told to the API as a field selector, and asked of each object. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.runtimes import Backend

_RUNS = {"Docker": "this node runs Docker containers", "Pod": "this process cares for pods"}


@dataclass(frozen=True)
class Scope:
    """The Runtimes of one backend, on one node or, with ``node`` "", on all.

    ``claims``: one without node and backend is taken, once and for good; and nobody else would tell why one is not.
    """

    backend: Backend
    node: str = ""
    claims: bool = False

    @property
    def selector(self) -> str:
        """The field selector; who claims must see all."""
        if self.claims:
            return ""
        return ",".join([*([f"spec.nodeName={self.node}"] if self.node else []), f"spec.backend={self.backend}"])

    def elsewhere(self, spec: Mapping[str, Any]) -> str:
        """Why a Runtime is none of ours, "" when it is."""
        node, backend = spec.get("nodeName"), spec.get("backend")
        if backend != self.backend and not (backend is None and self.node):
            return f"spec.backend is {backend}, and {_RUNS[self.backend]}: leave it out or make it {self.backend}"
        if self.node and node != self.node and not (node is None and self.claims):
            return f"spec.nodeName is {node}, and this node is {self.node}: make it anew with that name"
        return ""

    def unset(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """What is still to be set in the spec of a Runtime that is ours."""
        desired = {"nodeName": self.node, "backend": self.backend}
        return {name: value for name, value in desired.items() if value and not spec.get(name)}
