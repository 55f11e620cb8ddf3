"""What must be written on a full disk: statuses, leases, the journal of commands, and deletions with all they take.

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


def of(resource: Resource, made: dict[str, Any] | None, options: WriteOptions) -> Urgency:
    """The urgency of a write that makes this of the object, None when it deletes it."""
    if made is None or "deletionTimestamp" in made["metadata"]:
        return Urgency.DELETION
    if options.necessary or options.subresource == "status" or resource.key in NECESSARY:
        return Urgency.NECESSARY
    return Urgency.ORDINARY
