"""Field ownership in ``metadata.managedFields`` (API reference: ManagedFieldsEntry). Pure."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from controller.apiserver.objects import fieldsets
from controller.apiserver.objects.fieldsets import Path

Object = dict[str, Any]
UPDATERS = 10  # entries of operation Update that are kept; older ones are merged into one, as in Kubernetes
ANCIENT = "ancient-changes"
APPLY, UPDATE = "Apply", "Update"


class Manager(NamedTuple):
    """Who writes, with which operation, in which version, to which subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


class Entry(NamedTuple):
    """The fields of one manager, and when this set last changed."""

    fields: frozenset[Path]
    time: str


Managers = dict[Manager, Entry]


def read(metadata: Object) -> Managers:
    """The managers of an object; malformed entries are ignored."""
    found: Managers = {}
    for entry in metadata.get("managedFields") or ():
        fields = entry.get("fieldsV1") if isinstance(entry, dict) else None
        # Clients may write anything here; Kubernetes does not refuse an object for it either.
        with contextlib.suppress(ValueError):
            decoded = fieldsets.decode(fields) if isinstance(fields, dict) else ()
            if not decoded:
                continue
            manager = Manager(
                str(entry.get("manager", "")), str(entry.get("operation", UPDATE)), str(entry.get("apiVersion", "")),
                str(entry.get("subresource", "")),
            )  # fmt: skip
            found[manager] = Entry(frozenset(decoded), str(entry.get("time") or ""))
    return found


def write(managers: Managers) -> list[Object]:
    """Encode as ``metadata.managedFields``: appliers first, then by time."""
    # A fixed order: entries that only change places would make a write without a change a new revision.
    ordered = sorted(managers.items(), key=lambda pair: (pair[0].operation, pair[1].time, pair[0]))
    return [_entry(manager, entry) for manager, entry in ordered if entry.fields]


def after_update(
    managers: Managers, manager: Manager, old: Object, new: Object, schema: Object | None, now: str
) -> Managers:
    """The managers after ``manager`` changed ``old`` to ``new``: it owns the fields it set, all lose removed fields."""
    set_, removed = fieldsets.compare(fieldsets.of_object(old, schema), fieldsets.of_object(new, schema))
    result = {}
    for other, entry in managers.items():
        result[other] = entry._replace(fields=entry.fields - removed - (set_ if other != manager else frozenset()))
    if set_:
        mine = managers[manager].fields if manager in managers else frozenset()
        fields = (mine | set_) - removed
        # The old time if the set is the same: with a new time a write that changes nothing would be a new revision.
        result[manager] = managers[manager] if fields == mine else Entry(fields, now)
    return _bounded(result, now)


def _bounded(managers: Managers, now: str) -> Managers:
    updaters = sorted((entry.time, manager) for manager, entry in managers.items() if manager.operation == UPDATE)
    old = [manager for _, manager in updaters[: max(0, len(updaters) - UPDATERS)]]
    # Without a bound every name that ever wrote would leave an entry in the object for good.
    if not old:
        return managers
    kept = {manager: entry for manager, entry in managers.items() if manager not in old}
    for manager in old:
        # One entry per version and subresource: paths of different versions or subresources must not be mixed.
        ancient = manager._replace(name=ANCIENT)
        fields = kept[ancient].fields if ancient in kept else frozenset()
        kept[ancient] = Entry(fields | managers[manager].fields, now)
    return kept


def _entry(manager: Manager, entry: Entry) -> Object:
    written = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": entry.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fieldsets.encode(entry.fields),
        "subresource": manager.subresource,
    }
    return {name: value for name, value in written.items() if value}
