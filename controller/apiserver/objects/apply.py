"""Server-side apply: merges a configuration into the live object and detects conflicts (KEP-555). Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Set
from typing import Any, NamedTuple

from controller.apiserver import bounds
from controller.apiserver.objects import fieldsets, managers
from controller.apiserver.objects.fieldsets import Path
from controller.apiserver.objects.managers import Entry, Manager, Managers

Object = dict[str, Any]


class Conflicts(Exception):  # noqa: N818 - named as the API names it
    """Other managers own fields that would change. ``fields`` maps each of them to these fields."""

    def __init__(self, fields: dict[Manager, list[Path]]) -> None:
        super().__init__(f"conflicts with {len(fields)} managers")
        self.fields = fields


_REMOVED = object()
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def apply(
    live: Object, config: Object, manager: Manager, schema: Object | None, now: str, *, force: bool
) -> tuple[Object, Managers]:
    """The merged object and its managers. Raises Conflicts unless ``force``."""
    owned = managers.read(live.get("metadata", {}))
    wanted = fieldsets.of_applied(config, schema)
    whole = fieldsets.with_metadata(schema)
    result = merge(live, config, whole)
    # Compared by value: two appliers that agree share a field instead of conflicting.
    changed, _ = fieldsets.compare(fieldsets.of_object(live, schema), fieldsets.of_object(result, schema))
    others = {other: entry for other, entry in owned.items() if other != manager}
    conflicts = {other: sorted(entry.fields & changed & wanted) for other, entry in others.items()}
    conflicts = {other: fields for other, fields in conflicts.items() if fields}
    if conflicts and not force and not _is_client_side_migration(conflicts, live, manager, schema):
        raise Conflicts(conflicts)
    for other, fields in conflicts.items():
        # A forced field changes hands: with two owners, the next apply of the other one would conflict again.
        others[other] = others[other]._replace(fields=others[other].fields - set(fields))
    before = owned[manager].fields if manager in owned else frozenset()
    # Only what no other manager owns: a field that two applied stays until both have given it up.
    result = _without(result, before - wanted, [wanted, *(entry.fields for entry in others.values())], whole)
    # The time stays with the set, so that a repeated apply changes nothing and creates no revision.
    mine = owned[manager] if manager in owned and before == wanted else Entry(wanted, now)
    return result, {**others, manager: mine}


def _is_client_side_migration(
    conflicts: dict[Manager, list[Path]], live: Object, manager: Manager, schema: Object | None
) -> bool:
    """Whether kubectl only takes over fields of its own client-side apply, as recorded in its annotation."""
    # Users move from client-side to server-side apply: kubectl would otherwise conflict with its own earlier self.
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if manager.name != "kubectl" or not text:
        return False
    try:
        parsed = json.loads(text)
        # The annotation is input as well: json.loads accepts values far deeper and larger than a body may be.
        bounds.check(parsed)
        written = fieldsets.of_applied(parsed, schema)
    except (ValueError, AttributeError, RecursionError):  # an annotation may hold any text
        return False
    updates = all(other.operation == managers.UPDATE for other in conflicts)
    return updates and all(path in written for fields in conflicts.values() for path in fields)


def merge(live: Any, config: Any, schema: Object) -> Any:
    """The live value overlaid with the configuration."""
    # An atomic value has one owner as a whole, so a mix of two configurations would be nobody's.
    if type(live) is not type(config) or not fieldsets.is_granular(config, schema):
        return config
    if isinstance(config, dict):
        merged = {
            name: merge(live[name], part, fieldsets.child_schema(schema, name)) if name in live else part
            for name, part in config.items()
        }
        return {**live, **merged}
    return _merge_lists(live, config, schema)


def _merge_lists(live: list[Any], config: list[Any], schema: Object) -> list[Any]:
    # A dictionary: a search for each item would take quadratic time, and lists have thousands of items.
    wanted = {fieldsets.item_element(item, schema): item for item in config}
    merged = []
    for item in live:
        mine = wanted.pop(fieldsets.item_element(item, schema), None)
        merged.append(item if mine is None else merge(item, mine, schema.get("items", {})))
    # Live items keep their order, so that an applier of some of them does not reorder the list.
    return merged + list(wanted.values())


def _without(item: Object, removed: Collection[Path], kept: list[frozenset[Path]], schema: Object) -> Object:
    """The object without the fields that no manager owns any more, and without parents that this leaves empty."""
    # With prefixes: whoever owns a field inside an item also keeps the item.
    wanted = _prefixes(path for fields in kept for path in fields)
    parents = _prefixes(path[:-1] for path in removed)
    found: Object = _Removal(set(removed) - wanted, parents, wanted).rest(item, (), schema) if removed else item
    return found


def _prefixes(paths: Iterable[Path]) -> set[Path]:
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


class _Removal(NamedTuple):
    """Removes fields in one walk over the object; a walk for each field would take quadratic time."""

    fields: Set[Path]
    parents: Set[Path]  # parents of given-up fields
    wanted: Set[Path]

    def rest(self, value: Any, path: Path, schema: Object) -> Any:
        """A copy of the value without the removed fields."""
        # Nothing below is given up: the part is returned as it is, without a walk or a copy.
        if path and path not in self.parents:
            return value
        if isinstance(value, dict):
            parts = (
                (name, self._part(part, (*path, f"f:{name}"), fieldsets.child_schema(schema, name)))
                for name, part in value.items()
            )
            return {name: part for name, part in parts if part is not _REMOVED}
        if isinstance(value, list):
            items = (self._item(item, path, schema) for item in value)
            return [item for item in items if item is not _REMOVED]
        return value

    def _item(self, item: Any, path: Path, schema: Object) -> Any:
        element = fieldsets.item_element(item, schema)
        return item if element is None else self._part(item, (*path, element), schema.get("items", {}))

    def _part(self, value: Any, path: Path, schema: Object) -> Any:
        if path in self.fields:
            return _REMOVED
        rest = self.rest(value, path, schema)
        # A top-level member stays, even when it is empty.
        empty = len(path) > 1 and rest in ({}, []) and path in self.parents and path not in self.wanted
        return _REMOVED if empty else rest


def causes(conflicts: Conflicts) -> list[Object]:
    """The causes of the Status, one for each field."""
    return [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_named(manager)}",
            "field": fieldsets.shown(path),
        }
        for manager, fields in conflicts.fields.items()
        for path in fields
    ]


def message(conflicts: Conflicts) -> str:
    """The message of the Status."""
    count = sum(len(fields) for fields in conflicts.fields.values())
    parts = []
    for manager, fields in conflicts.fields.items():
        names = [fieldsets.shown(path) for path in fields]
        listed = f" {names[0]}" if len(names) == 1 else "".join(f"\n- {name}" for name in names)
        parts.append(f"conflict{'s' if len(names) > 1 else ''} with {_named(manager)}:{listed}")
    return f"Apply failed with {count} conflict{'s' if count > 1 else ''}: " + "\n".join(parts)


def _named(manager: Manager) -> str:
    subresource = f" with subresource {json.dumps(manager.subresource)}" if manager.subresource else ""
    return f"{json.dumps(manager.name)}{subresource} using {manager.api_version}"
