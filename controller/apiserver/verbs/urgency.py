"""What must be written on a full disk: statuses, marks in the metadata, leases, the journal of commands, and deletions.

Whatever else is refused then, above all what makes the database larger.
"""

from __future__ import annotations

from typing import Any

from controller import names
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.objects.write_options import WriteOptions
from controller.apiserver.storage.reserve import Urgency

# Without its journal no command of the cloud is carried out, so none that deletes either.
NECESSARY = ("leases.coordination.k8s.io", f"runtimecommands.{names.GROUP}")


def of(
    resource: Resource, options: WriteOptions, before: dict[str, Any] | None, made: dict[str, Any] | None
) -> Urgency:
    """The urgency of a write that makes this of the object, None when it deletes it."""
    if made is None or "deletionTimestamp" in made["metadata"]:
        return Urgency.DELETION
    if options.necessary or options.subresource == "status" or resource.key in NECESSARY:
        return Urgency.NECESSARY
    return Urgency.NECESSARY if before and _content(before) == _content(made) else Urgency.ORDINARY


def _content(item: dict[str, Any]) -> dict[str, Any]:
    """All but the metadata: a deletion may need a mark on another object, such as who owns the container now."""
    return {name: value for name, value in item.items() if name != "metadata"}
