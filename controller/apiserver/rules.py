"""CEL rules (x-kubernetes-validations), evaluated with cel-python, which is loaded when the first rule is met."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from controller.apiserver.resources import Resource
from controller.apiserver.structural import Cause, quoted

Object = dict[str, Any]


def check(resource: Resource, item: Object, old: Object | None) -> list[Cause]:
    """The rules that the object breaks."""
    return _walk(resource.schema or {}, item, old, "")


def _walk(schema: Object, value: Any, old: Any, path: str) -> list[Cause]:
    causes = [
        _cause(rule, value, path) for rule in schema.get("x-kubernetes-validations", ()) if not _holds(rule, value, old)
    ]
    if isinstance(value, dict):
        for name, part in schema.get("properties", {}).items():
            if name in value and name != "metadata":
                before = old.get(name) if isinstance(old, dict) else None
                causes += _walk(part, value[name], before, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and "items" in schema:
        for index, entry in enumerate(value):
            causes += _walk(schema["items"], entry, None, f"{path}[{index}]")
    return causes


def _cause(rule: Object, value: Any, path: str) -> Cause:
    return Cause(
        "FieldValueInvalid",
        f"Invalid value: {quoted(value)}: {rule.get('message', 'failed rule: ' + rule['rule'])}",
        path,
    )


def _holds(rule: Object, value: Any, old: Any) -> bool:
    if "oldSelf" in rule["rule"] and old is None:
        return True
    import cel  # noqa: PLC0415

    context = {"self": value, "oldSelf": old} if old is not None else {"self": value}
    return bool(cel.evaluate(rule["rule"], context))
