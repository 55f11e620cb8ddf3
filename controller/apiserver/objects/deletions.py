"""Options of a delete and their effect on the object (API reference: DeleteOptions).

An object without finalizers is removed immediately. Orphaning and foreground deletion add finalizers of their own,
which the garbage collector removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.apiserver import failures, times
from controller.apiserver.flags import flag
from controller.apiserver.kinds import core_schemas
from controller.apiserver.kinds.resources import Resource
from controller.apiserver.schemas import structural
from controller.apiserver.schemas.causes import Cause

Object = dict[str, Any]

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
# The finalizer that each policy adds to the object.
POLICIES = {"Orphan": ORPHAN, "Foreground": FOREGROUND, "Background": ""}
SUPPORTED = '"Foreground", "Background", "Orphan", "nil"'
KINDS = ("DeleteOptions", "")


@dataclass(frozen=True)
class Deletion:
    """How to delete. Without a policy the object's finalizers decide; the default is background deletion."""

    uid: str = ""
    version: str = ""
    policy: str | None = None
    dry: bool = False


def read(body: Any, query: Mapping[str, str]) -> Deletion:
    """Read the options from the body or, without one, from the query. Raises failures.Failure (400, 422).

    ``gracePeriodSeconds`` is accepted without effect: it concerns kinds with processes, such as pods.
    """
    # A body replaces the query, as in Kubernetes: the two are not merged.
    given = body or _of_query(query)
    if not isinstance(given, dict) or given.get("kind", "") not in KINDS:
        raise failures.bad_request("the body must be DeleteOptions")
    if structural.validate(given, core_schemas.structural()["meta.DeleteOptions"]):
        raise failures.bad_request("a field of the DeleteOptions has the wrong type")
    if causes := _faults(given):
        raise failures.invalid_options("DeleteOptions", causes)
    policy = given.get("propagationPolicy")
    # The deprecated form; older clients still send it.
    if given.get("orphanDependents") is not None:
        policy = "Orphan" if given["orphanDependents"] else "Background"
    preconditions = given.get("preconditions") or {}
    uid, version = (preconditions.get(field) or "" for field in ("uid", "resourceVersion"))
    return Deletion(uid, version, policy, bool(given.get("dryRun")))


def check(resource: Resource, item: Object, options: Deletion) -> None:
    """Check the preconditions against the object. Raises failures.Failure (409)."""
    metadata = item["metadata"]
    wanted = (("UID", options.uid, metadata["uid"], "have been deleted and then recreated"),
              ("ResourceVersion", options.version, metadata["resourceVersion"], "have been modified"))  # fmt: skip
    for field, asked, found, guess in wanted:
        if asked and asked != found:
            why = f"the {field} in the precondition ({asked}) does not match the {field} in record ({found})."
            raise failures.conflict_of_kind(resource, metadata["name"], f"{why} The object might {guess}")


def mark_deleted(resource: Resource, item: Object, options: Deletion) -> Object:
    """The object marked for deletion, with the finalizers of the policy. Without finalizers it can be removed."""
    metadata = item["metadata"]
    finalizers = _finalizers(metadata.get("finalizers") or [], options.policy)
    rest = {name: value for name, value in metadata.items() if name != "finalizers"}
    item = {**item, "metadata": {**rest, "finalizers": finalizers} if finalizers else rest}
    # A second deletion may change the policy, but the time and the generation are those of the first.
    return item if "deletionTimestamp" in metadata else resource.on_deletion(_marked(item))


def _finalizers(found: list[str], policy: str | None) -> list[str]:
    if policy is None:
        return found
    wanted = POLICIES[policy]
    # The two exclude each other: with both the garbage collector would have to keep and to delete the dependents.
    kept = [name for name in found if name not in (ORPHAN, FOREGROUND) or name == wanted]
    return [*kept, wanted] if wanted and wanted not in kept else kept


def _marked(item: Object) -> Object:
    metadata = {**item["metadata"], "deletionTimestamp": times.now(), "deletionGracePeriodSeconds": 0}
    if "generation" in metadata:
        # As in Kubernetes: to a controller a deletion is a change of the desired state.
        metadata["generation"] += 1
    return {**item, "metadata": metadata}


def _of_query(query: Mapping[str, str]) -> Object:
    given: Object = {name: query[name] for name in ("propagationPolicy",) if name in query}
    if "orphanDependents" in query:
        given["orphanDependents"] = flag(query, "orphanDependents")
    return given | ({"dryRun": [query["dryRun"]]} if query.get("dryRun") else {})


def _faults(given: Object) -> list[Cause]:
    causes = []
    policy, dry = given.get("propagationPolicy"), given.get("dryRun")
    if policy is not None and given.get("orphanDependents") is not None:
        message = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
        causes.append(Cause("FieldValueInvalid", message, "propagationPolicy"))
    elif policy is not None and policy not in POLICIES:
        message = f'Unsupported value: "{policy}": supported values: {SUPPORTED}'
        causes.append(Cause("FieldValueNotSupported", message, "propagationPolicy"))
    if dry and dry != ["All"]:
        shown = ",".join(f'"{value}"' for value in dry)
        message = f'Unsupported value: [{shown}]: supported values: "All"'
        causes.append(Cause("FieldValueNotSupported", message, "dryRun"))
    return causes
