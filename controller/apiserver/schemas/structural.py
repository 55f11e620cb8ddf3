"""Structural schemas (apiextensions/v1): defaulting, pruning and validation with Kubernetes' own messages.

Each is a separate walk over the value. CEL rules are in rules.py.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from controller.apiserver.bounds import Budget
from controller.apiserver.copies import copied
from controller.apiserver.equality import identical
from controller.apiserver.schemas import correlation, strings
from controller.apiserver.schemas.causes import NO_FIELD, Cause, kind_of, quoted
from controller.apiserver.schemas.correlation import ABSENT, is_unchanged

Schema = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
EMBEDDED_FIELDS = ("apiVersion", "kind", "metadata")  # every embedded resource has them, without a declaration
_COMBINATIONS = frozenset({"allOf", "anyOf", "oneOf", "not"})
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def apply_defaults(value: Any, schema: Schema, budget: Budget) -> None:
    """Apply defaults in place, as far as the size limit allows. Nulls in non-nullable fields count as absent."""
    if isinstance(value, dict):
        # First, so that a null in a field that is not nullable gets the default, as in Kubernetes.
        _drop_nulls(value, schema)
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
        for name, part in properties.items():
            # Counted before the copy: 200 KB in each of 20,000 items are gigabytes.
            if "default" in part and name not in value and budget.take(part["default"]):
                # A copy: the schema is shared by all objects, and nested defaults are filled in place.
                value[name] = copied(part["default"])
            if name in value:
                apply_defaults(value[name], part, budget)
        if isinstance(extra, dict):
            for name, part in value.items():
                if name not in properties:
                    apply_defaults(part, extra, budget)
    elif isinstance(value, list) and "items" in schema:
        for item in value:
            apply_defaults(item, schema["items"], budget)


def _drop_nulls(value: dict[str, Any], schema: Schema) -> None:
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
    for name in [name for name, part in value.items() if part is None]:
        known = properties.get(name) or (extra if isinstance(extra, dict) else None)
        if known and not known.get("nullable"):
            del value[name]


def replace_nulls(value: Any, schema: Schema) -> None:
    """Replace nulls in place as Go decodes them: an absent field, or the zero value in a map or a list."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties") or {}
        for name in [name for name, part in value.items() if part is None]:
            if name not in properties:
                value[name] = _zero(extra)
            # A field of type JSON keeps its null: there it is a value.
            elif not properties[name].get(PRESERVE):
                del value[name]
        for name, part in value.items():
            replace_nulls(part, properties.get(name, extra))
    elif isinstance(value, list) and "items" in schema:
        value[:] = [_zero(schema["items"]) if item is None else item for item in value]
        for item in value:
            replace_nulls(item, schema["items"])


def _zero(schema: Schema) -> Any:
    if schema.get("x-kubernetes-int-or-string"):
        # A quantity: Go decodes a null in a map of resources to a zero, and writes that as a text.
        return "0"
    zeros: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return zeros.get(schema.get("type", ""))


def prune(value: Any, schema: Schema, path: str = "") -> list[str]:
    """Remove unknown fields in place. Returns their paths."""
    # Nothing below is declared, so there is nothing to prune, however large the value is.
    if schema.get(PRESERVE) and "properties" not in schema:
        return []
    gone: list[str] = []
    if isinstance(value, dict):
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
        implied = EMBEDDED_FIELDS if schema.get(EMBEDDED) else ()
        for name in list(value):
            place = f"{path}.{name}" if path else name
            if name in implied:
                continue  # whatever the schema declares: objects/embedded.py decodes them
            if name in properties:
                gone += prune(value[name], properties[name], place)
            elif isinstance(extra, dict):
                gone += prune(value[name], extra, place)
            # Only where the type says so: a schema without a type, such as a branch of anyOf, declares no fields.
            elif not extra and not schema.get(PRESERVE) and schema.get("type") == "object":
                del value[name]
                gone.append(place)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            gone += prune(item, schema["items"], f"{path}[{index}]")
    return gone


def validate(value: Any, schema: Schema, path: str = "", old: Any = ABSENT) -> list[Cause]:
    """Every fault of a value; in an update, only of the parts that differ from ``old``."""
    # An unchanged part keeps its faults: a stricter definition must not prevent writing the status (KEP-4008).
    if (value is None and schema.get("nullable")) or is_unchanged(value, old):
        return []
    # Before the type: such a schema has none.
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            return [_type(value, path, "integer,string")]
        causes = _string(value, schema, path) if isinstance(value, str) else _number(value, schema, path)
        return _enum(value, schema, path) + _combined(value, schema, path) + causes
    kind = schema.get("type")
    if kind and not _is(value, kind):
        # No further keywords: they are about values of the right type. Kubernetes still reports the enumeration.
        return [_type(value, path, kind), *_enum(value, schema, path)]
    causes = _enum(value, schema, path) + _combined(value, schema, path)
    if isinstance(value, str):
        causes += _string(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        causes += _number(value, schema, path)
    elif isinstance(value, list):
        causes += _list(value, schema, path, old)
    elif isinstance(value, dict):
        causes += _object(value, schema, path, old)
    return causes


def _combined(value: Any, schema: Schema, path: str) -> list[Cause]:
    """allOf, anyOf, oneOf and not. As in Kubernetes, the causes name no field, and anyOf reports its first branch."""
    if _COMBINATIONS.isdisjoint(schema):  # first, as this is asked of every value
        return []
    causes = [cause for part in schema.get("allOf", ()) for cause in validate(value, part, path)]
    if causes:
        causes.append(_of_branches(path, "must validate all the schemas (allOf)"))
    branches = [validate(value, part, path) for part in schema.get("anyOf", ())]
    if branches and all(branches):
        causes += [_of_branches(path, "must validate at least one schema (anyOf)"), *branches[0]]
    valid = sum(not validate(value, part, path) for part in schema.get("oneOf", ()))
    if "oneOf" in schema and valid != 1:
        found = f"Found {valid} valid alternatives" if valid else "Found none valid"
        causes.append(_of_branches(path, f"must validate one and only one schema (oneOf). {found}"))
    if "not" in schema and not validate(value, schema["not"], path):
        causes.append(_of_branches(path, "must not validate the schema (not)"))
    return causes


def _of_branches(path: str, what: str) -> Cause:
    return Cause("FieldValueInvalid", f'Invalid value: "": "{path}" {what}', NO_FIELD)


def _is(value: Any, kind: str) -> bool:
    # In Python a bool is an int; in JSON true is no number.
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, TYPES.get(kind, ())) or (
        # JSON has one kind of number: 1.0 is an integer to Kubernetes as well.
        kind == "integer" and isinstance(value, float) and value.is_integer()
    )


def _type(value: Any, path: str, kind: str) -> Cause:
    found = kind_of(value)
    return Cause(
        "FieldValueTypeInvalid", f'Invalid value: "{found}": {path} in body must be of type {kind}: "{found}"', path
    )


def _enum(value: Any, schema: Schema, path: str) -> list[Cause]:
    allowed = schema.get("enum")
    if not allowed or any(_is_same(value, item) for item in allowed):
        return []
    listed = ", ".join(f'"{item}"' for item in allowed)
    return [Cause("FieldValueNotSupported", f"Unsupported value: {quoted(value)}: supported values: {listed}", path)]


def _is_same(value: Any, item: Any) -> bool:
    """Whether a value is one of an enumeration: 1.0 is 1, but true is not."""
    return identical(value, item) or (_is(value, "number") and _is(item, "number") and value == item)


def _string(value: str, schema: Schema, path: str) -> list[Cause]:
    causes = []
    for reason, text in strings.faults(value, schema):
        if reason == "FieldValueTooLong":
            causes.append(Cause(reason, f"Too long: {text}", path))
        elif reason == "FieldValueTypeInvalid":
            causes.append(
                Cause(reason, f"Invalid value: {quoted(value)}: {path} in body {text}: {quoted(value)}", path)
            )
        else:
            causes.append(_invalid(value, path, text))
    return causes


def _invalid(value: Any, path: str, what: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {path} in body {what}", path)


def _number(value: float, schema: Schema, path: str) -> list[Cause]:
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    causes = []
    if step and not _is_multiple(value, step):
        causes.append(_invalid(value, path, f"should be a multiple of {step}"))
    if most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        bound = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        causes.append(_invalid(value, path, f"should be {bound} {most}"))
    if least is not None and (value < least or (schema.get("exclusiveMinimum") and value == least)):
        bound = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        causes.append(_invalid(value, path, f"should be {bound} {least}"))
    return causes


def _is_multiple(value: float, step: float) -> bool:
    """Fractions with a tolerance, as in Kubernetes: 0.3 is a multiple of 0.1."""
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    # % is of no use for fractions: 0.3 % 0.1 is nearly 0.1.
    quotient = value / step
    return math.isfinite(quotient) and math.isclose(quotient, round(quotient), rel_tol=1e-9)


def _list(value: list[Any], schema: Schema, path: str, old: Any) -> list[Cause]:
    causes = []
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        causes.append(Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items", path))
    if (least := schema.get("minItems")) is not None and len(value) < least:
        causes.append(_invalid(len(value), path, f"should have at least {least} items"))
    # Built once per list: a search for each item held the event loop for 20 seconds at 6,600 items.
    before = correlation.entries(old, schema)
    for index, item in enumerate(value):
        causes += validate(item, schema.get("items", {}), f"{path}[{index}]", before(item))
    return causes + _duplicates(value, schema, path)


def _duplicates(value: list[Any], schema: Schema, path: str) -> list[Cause]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", [])
    if kind not in ("map", "set"):
        return []
    seen: Counter[str] = Counter()
    causes = []
    for index, item in enumerate(value):
        place = f"{path}[{index}]"
        if kind == "map" and not isinstance(item, (dict, type(None))):
            message = f"Invalid value: {quoted(item)}: must be an object for an array of list-type map"
            causes.append(Cause("FieldValueInvalid", message, place))
            continue
        identity = {key: item.get(key) for key in keys} if kind == "map" and item is not None else item
        # As text, because items may be unhashable and 1 equals True in Python; hashing finds them in linear time.
        known = json.dumps(identity, sort_keys=True)
        if seen[known] == 1:  # report each duplicate only once
            causes.append(Cause("FieldValueDuplicate", f"Duplicate value: {_identity(identity)}", place))
        seen[known] += 1
    return causes


def _identity(value: Any) -> str:
    if not isinstance(value, dict):
        return quoted(value)
    return "{" + ",".join(f'"{name}":{quoted(part)}' for name, part in value.items()) + "}"


def _required(schema: Schema) -> list[str]:
    embedded = ["apiVersion", "kind"] if schema.get(EMBEDDED) else []
    return list(dict.fromkeys([*embedded, *schema.get("required", [])]))


def _object(value: dict[str, Any], schema: Schema, path: str, old: Any) -> list[Cause]:
    causes = []
    for name in _required(schema):
        if name not in value:
            place = f"{path}.{name}" if path else name
            causes.append(Cause("FieldValueRequired", "Required value", place))
    if (least := schema.get("minProperties")) is not None and len(value) < least:
        causes.append(_invalid(len(value), path, f"should have at least {least} properties"))
    if (most := schema.get("maxProperties")) is not None and len(value) > most:
        causes.append(Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items", path))
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
    for name, part in value.items():
        inner = properties.get(name) or (extra if isinstance(extra, dict) else None)
        if inner:
            causes += validate(part, inner, f"{path}.{name}" if path else name, correlation.member(old, name))
    return causes
