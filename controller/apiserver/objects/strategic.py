"""Strategic merge patch, for the core kinds (API reference: update API objects in place using kubectl patch).

Maps merge as in RFC 7396. Lists are merged if their schema says so, others are replaced.
"""

from __future__ import annotations

from typing import Any

from controller.apiserver.objects import patches
from controller.apiserver.objects.fieldsets import child_schema

Object = dict[str, Any]


def merge(target: Any, patch: Any, schema: Object) -> Any:
    """Apply a patch to the target of this structural schema. Raises patches.PatchError."""
    if not isinstance(patch, dict):
        return patch
    # Also for a missing member: merging into nothing removes the nulls and directives of a new value.
    target = target if isinstance(target, dict) else {}
    directive = patch.get("$patch")
    if directive in ("replace", "delete"):
        return {name: value for name, value in patch.items() if name != "$patch"} if directive == "replace" else {}
    if directive is not None and directive != "merge":
        raise patches.PatchError("the $patch directive must be merge, replace or delete")
    result = dict(target)
    for name, value in patch.items():
        if name.startswith("$"):
            _apply_directive(result, name, value)
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = _merge_member(result, name, value, child_schema(schema, name))
    return result


def _merge_member(result: Object, name: str, value: Any, schema: Object) -> Any:
    if isinstance(value, list) and schema.get("x-kubernetes-patch-strategy") == "merge":
        return _merge_list(_list_in(result, name), value, schema)
    return merge(result.get(name), value, schema)


def _apply_directive(result: Object, name: str, value: Any) -> None:
    directive, _, field = name.partition("/")
    if directive == "$deleteFromPrimitiveList":
        gone = set(_texts(name, value))
        result[field] = [entry for entry in _texts(field, _list_in(result, field)) if entry not in gone]
    elif directive == "$retainKeys":
        for extra in result.keys() - set(_texts(name, value)):
            del result[extra]
    # kubectl sends $setElementOrder with every merged list. It only orders; here stored lists keep their order.
    elif directive not in ("$setElementOrder", "$patch"):
        raise patches.PatchError(f"the directive {name} is unknown")


def _merge_list(current: list[Any], patch: list[Any], schema: Object) -> list[Any]:
    key = schema["x-kubernetes-patch-merge-key"]
    # A list of scalars: merging means a union, and dict.fromkeys keeps the order.
    if not key:
        return list(dict.fromkeys((*_texts("the list", current), *_texts("the list", patch))))
    if any(isinstance(entry, dict) and entry.get("$patch") == "replace" for entry in patch):
        return [entry for entry in patch if isinstance(entry, dict) and "$patch" not in entry]
    # Keyed: a search for each item of the patch would take quadratic time.
    result = {_key_of(item, key): item for item in current}
    for entry in patch:
        name = _key_of(entry, key)
        if entry.get("$patch") == "delete":
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), entry, schema["items"])
    return list(result.values())


def _list_in(item: Object, name: str) -> list[Any]:
    found = item.get(name)
    return found if isinstance(found, list) else []


def _texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise patches.PatchError(f"{name} must be a list of strings")
    return value


def _key_of(item: Any, key: str) -> str:
    name = item.get(key) if isinstance(item, dict) else None
    if not isinstance(name, str):
        raise patches.PatchError(f"the items of the list must be objects with the key {key}")
    return name
