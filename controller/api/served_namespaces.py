"""The namespaces whose Runtimes an installation runs: EDGE_NAMESPACE and EDGE_FURTHER_NAMESPACES.

A Runtime reaches the interfaces and LANs of a node, so elsewhere the right to create one must have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ServedNamespaces:
    """``names`` is None where all are served: on a standalone host."""

    names: frozenset[str] | None = None

    def serves(self, namespace: str) -> bool:
        """Whether Runtimes of the namespace are run."""
        return self.names is None or namespace in self.names

    def accepts(self, runtime: Mapping[str, Any]) -> bool:
        """Whether the spec of a Runtime may take effect, or did so before the settings excluded its namespace."""
        metadata, status = runtime["metadata"], runtime.get("status") or {}
        # Only the controller may write the status, so nobody can pretend this.
        return self.serves(metadata["namespace"]) or status.get("appliedGeneration") == metadata["generation"]


EVERYWHERE = ServedNamespaces()


def refusal(namespace: str) -> str:
    """Why a spec does not take effect, as a message."""
    return (
        f"Namespace {namespace} is not served, so nothing is created or changed there: add it to furtherNamespaces of "
        "the chart (EDGE_FURTHER_NAMESPACES)"
    )
