"""Strategic merge patch, for the core kinds (API reference: update API objects in place using kubectl patch).

Maps merge as in RFC 7396. Of the lists of the kinds that we serve, only those below merge; the others are replaced.
"""

from __future__ import annotations

from typing import Any

from controller.apiserver.objects import patches

Object = dict[str, Any]

# Lists that merge, with the key of their items; None for lists of plain values.
MERGED: dict[str, str | None] = {
    "finalizers": None,
    "ownerReferences": "uid",
    "secrets": "name",
    "conditions": "type",
}


def merge(target: Any, patch: Any) -> Any:
    """The target with the patch. Raises patches.PatchError."""
    if not isinstance(patch, dict) or not isinstance(target, dict):
        return patches.merge(None, patch) if isinstance(patch, dict) else patch
    directive = patch.get("$patch")
    if directive in ("replace", "delete"):
        return {name: value for name, value in patch.items() if name != "$patch"} if directive == "replace" else {}
    if directive is not None and directive != "merge":
        raise patches.PatchError(f"the $patch directive {directive} is unknown")
    result = dict(target)
    for name, value in patch.items():
        if name.startswith("$"):
            _apply_directive(result, name, value)
        elif value is None:
            result.pop(name, None)
        elif name in MERGED and isinstance(value, list):
            result[name] = _merge_list(result.get(name) or [], value, MERGED[name])
        else:
            result[name] = merge(result.get(name), value)
    return result


def _apply_directive(result: Object, name: str, value: Any) -> None:
    directive, _, field = name.partition("/")
    if directive == "$deleteFromPrimitiveList" and isinstance(value, list):
        result[field] = [entry for entry in result.get(field) or [] if entry not in value]
    elif directive == "$retainKeys" and isinstance(value, list):
        for extra in result.keys() - set(value):
            del result[extra]
    elif directive not in ("$setElementOrder", "$patch"):
        raise patches.PatchError(f"the directive {name} is unknown")


def _merge_list(current: list[Any], patch: list[Any], key: str | None) -> list[Any]:
    if key is None:
        return [*current, *(entry for entry in patch if entry not in current)]
    if not all(isinstance(entry, dict) for entry in patch):
        raise patches.PatchError(f"the items of the list must be objects with {key}")
    if any(entry.get("$patch") == "replace" for entry in patch):
        return [entry for entry in patch if "$patch" not in entry]
    result = list(current)
    for entry in patch:
        index = next((i for i, item in enumerate(result) if item.get(key) == entry.get(key)), len(result))
        if entry.get("$patch") == "delete":
            del result[index : index + 1]
        else:
            result[index : index + 1] = [merge(result[index] if index < len(result) else {}, entry)]
    return result
