"""CEL rules of a schema (x-kubernetes-validations), transition rules with ``oldSelf`` included.

The evaluator is the `common-expression-language` package (cel-rust); it is loaded when the first rule is met.
"""

from __future__ import annotations

import sys
import types
from functools import lru_cache
from typing import Any

from controller.apiserver.resources import Resource
from controller.apiserver.structural import Cause, quoted

Object = dict[str, Any]


def check(resource: Resource, item: Object, old: Object | None) -> list[Cause]:
    """The rules that the object breaks."""
    return _walk(resource.schema or {}, item, old, "")


def _walk(schema: Object, value: Any, old: Any, path: str) -> list[Cause]:
    rules = schema.get("x-kubernetes-validations", ())
    causes = [_cause(rule, value, path) for rule in rules if not _holds(rule["rule"], value, old)]
    if isinstance(value, dict):
        for name in value.keys() & schema.get("properties", {}).keys() - {"metadata"}:
            before = old.get(name) if isinstance(old, dict) else None
            causes += _walk(schema["properties"][name], value[name], before, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and "items" in schema:
        for index, entry in enumerate(value):
            causes += _walk(schema["items"], entry, None, f"{path}[{index}]")
    return causes


def _cause(rule: Object, value: Any, path: str) -> Cause:
    message = rule.get("message") or f"failed rule: {rule['rule']}"
    return Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {message}", path)


def _holds(rule: str, value: Any, old: Any) -> bool:
    if "oldSelf" not in rule:
        return bool(_program(rule).execute({"self": value}))
    return old is None or bool(_program(rule).execute({"self": value, "oldSelf": old}))


@lru_cache(256)
def _program(rule: str) -> Any:
    # The package imports its own command line (rich, typer: 25 MB) at once; an empty module in its place costs nothing.
    sys.modules.setdefault("cel.cli", types.ModuleType("cel.cli"))
    import cel  # noqa: PLC0415 - only where a schema has rules

    return cel.compile(rule)
