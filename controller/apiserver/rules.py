"""CEL rules of a schema (x-kubernetes-validations), transition rules with ``oldSelf`` included.

The evaluator is the `common-expression-language` package (cel-rust); it is loaded when the first rule is met.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from controller.apiserver.structural import Cause, quoted

Object = dict[str, Any]

REASONS = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")


def check(schema: Object, item: Any, old: Any) -> list[Cause]:
    """The rules that the value breaks; ``old`` is None when it is new."""
    return list(_walk(schema, item, old, ""))


def faults(schema: Object, path: str) -> list[Cause]:
    """The rules of this schema that do not compile."""
    causes = []
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        place = f"{path}.x-kubernetes-validations[{index}].rule"
        text = rule.get("rule") if isinstance(rule, dict) else None
        if not isinstance(text, str) or not text:
            causes.append(Cause("FieldValueRequired", "Required value: rule is not specified", place))
            continue
        try:
            _program(text)
        except ValueError as error:
            message = f"Invalid value: {quoted(text)}: compilation failed: {error}"
            causes.append(Cause("FieldValueInvalid", message, place))
    return causes


def _walk(schema: Object, value: Any, old: Any, path: str) -> Iterator[Cause]:
    if value is None:
        return
    for rule in schema.get("x-kubernetes-validations", ()):
        yield from _faults_of(rule, value, old, path)
    if isinstance(value, dict):
        for name, part in value.items():
            extra = schema.get("additionalProperties")
            inner = schema.get("properties", {}).get(name) or (extra if isinstance(extra, dict) else None)
            if inner:
                before = old.get(name) if isinstance(old, dict) else None
                yield from _walk(inner, part, before, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and "items" in schema:
        for index, entry in enumerate(value):
            yield from _walk(schema["items"], entry, _counterpart(entry, old, schema), f"{path}[{index}]")


def _counterpart(entry: Any, old: Any, schema: Object) -> Any:
    """The item of the old list with the same keys; other lists have no items that could be compared."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list) or not isinstance(entry, dict):
        return None
    wanted = [entry.get(key) for key in keys]
    return next((item for item in old if [item.get(key) for key in keys] == wanted), None)


def _faults_of(rule: Object, value: Any, old: Any, path: str) -> Iterator[Cause]:
    text = rule["rule"]
    known: Object = {"self": value}
    if "oldSelf" in text:
        if old is None and not rule.get("optionalOldSelf"):
            return
        known["oldSelf"] = old
    try:
        holds = bool(_program(text).execute(known))
    except (ValueError, TypeError, RuntimeError) as error:
        yield Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: rule evaluation error: {error}", path)
        return
    if not holds:
        field = f"{path}{rule.get('fieldPath', '')}".lstrip(".")
        reason = rule.get("reason", REASONS[0])
        words = {"FieldValueForbidden": "Forbidden", "FieldValueRequired": "Required value"}
        lead = words.get(reason) or f"Invalid value: {quoted(value)}"
        yield Cause(reason, f"{lead}: {_message(rule, known)}", field)


def _message(rule: Object, known: Object) -> str:
    if expression := rule.get("messageExpression"):
        try:
            return str(_program(expression).execute(known))
        except (ValueError, TypeError, RuntimeError):
            pass  # as Kubernetes does: the plain message stands in
    return str(rule.get("message") or f"failed rule: {rule['rule']}").strip()


@lru_cache(256)
def _program(rule: str) -> Any:
    # The package imports its own command line (rich, typer: 25 MB) at once; an empty module in its place costs nothing.
    sys.modules.setdefault("cel.cli", types.ModuleType("cel.cli"))
    import cel  # noqa: PLC0415 - only where a schema has rules

    return cel.compile(rule)
