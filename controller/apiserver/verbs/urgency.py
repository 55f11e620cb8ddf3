"""Which writes succeed on a full disk: statuses, metadata, leases, the command journal, and deletions.

All other writes are rejected, above all those that grow the database.
"""

from __future__ import annotations

from typing import Any

from controller import names
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects.request_options import WriteOptions
from controller.apiserver.storage.reserve import Urgency

# Without the journal no command of the cloud runs, including those that delete and so free space.
NECESSARY = ("leases.coordination.k8s.io", f"runtimecommands.{names.GROUP}")


def of(
    resource: Resource, options: WriteOptions, before: dict[str, Any] | None, made: dict[str, Any] | None
) -> Urgency:
    """The urgency of a write that turns ``before`` into ``made``; None if it deletes the object."""
    # Removing finalizers is part of the deletion, which frees space in the end.
    if made is None or "deletionTimestamp" in made["metadata"]:
        return Urgency.DELETION
    if options.necessary or options.subresource == "status" or resource.key in NECESSARY:
        return Urgency.NECESSARY
    return Urgency.NECESSARY if before and _content(before) == _content(made) else Urgency.ORDINARY


def _content(item: dict[str, Any]) -> dict[str, Any]:
    """All but the metadata: a deletion may need to mark another object, e.g. with the container's new owner."""
    return {name: value for name, value in item.items() if name != "metadata"}
