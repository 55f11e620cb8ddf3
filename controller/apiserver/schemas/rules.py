"""CEL rules of a schema (x-kubernetes-validations), transition rules with ``oldSelf`` included.

What they may cost is Kubernetes' for one rule, and less for all rules of an object, as they hold up the event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from controller.apiserver.schemas import correlation
from controller.apiserver.schemas.causes import NOWHERE, Cause, kind_of, quoted
from controller.apiserver.schemas.cel import names
from controller.apiserver.schemas.cel.compiler import compiled
from controller.apiserver.schemas.cel.failures import CostError, EvaluationError, ExpressionError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.parser import parsed
from controller.apiserver.schemas.cel.typed import typed
from controller.apiserver.schemas.cel.values import Optional
from controller.apiserver.schemas.correlation import NOTHING, is_unchanged

Object = dict[str, Any]

COST_OF_RULE = 1_000_000  # as in Kubernetes
COST_OF_OBJECT = 2_000_000  # a fifth of what Kubernetes has
CHARACTERS = 256 << 10  # of all rules of a definition, at some microseconds each; large ones have twenty thousand
UNCHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
# What a schema says that makes rules meaningless.
BLOCKING = ("FieldValueTypeInvalid", "FieldValueRequired", "FieldValueNotSupported", "FieldValueTooLong",
            "FieldValueTooMany")  # fmt: skip
REASONS = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")


def unchecked(schema: Object, causes: list[Cause]) -> list[Cause]:
    """What is said of the rules of an object that is too wrong to ask them; nothing where they can be asked."""
    if not _has_rules(schema) or all(cause.reason not in BLOCKING for cause in causes):
        return []
    return [Cause("FieldValueInvalid", UNCHECKED, NOWHERE)]


def _has_rules(schema: Object) -> bool:
    return bool(schema.get("x-kubernetes-validations")) or any(map(_has_rules, _parts(schema)))


def _parts(schema: Object) -> list[Object]:
    """The schemas of what a value holds."""
    properties = schema.get("properties")
    parts = [*(properties.values() if isinstance(properties, dict) else ()),
             schema.get("items"), schema.get("additionalProperties")]  # fmt: skip
    return [part for part in parts if isinstance(part, dict)]


def characters(schema: Object) -> int:
    """How long the rules of a schema are together, with those of the schemas in it."""
    own = sum(len(text) for rule in schema.get("x-kubernetes-validations") or () if isinstance(rule, dict)
              for text in (rule.get("rule"), rule.get("messageExpression")) if isinstance(text, str))  # fmt: skip
    return own + sum(map(characters, _parts(schema)))


class Budget:
    """What the rules of an object may still cost."""

    def __init__(self) -> None:
        self._left = COST_OF_OBJECT

    def evaluated(self, rule: str, known: Object) -> Any:
        """What a rule gives. Raises EvaluationError, CostError."""
        meter = Meter(min(self._left, COST_OF_RULE), dict(known))
        given = meter.left
        try:
            return compiled(rule)(meter)
        except RecursionError as error:
            raise EvaluationError("the rule or the value is nested too deeply") from error
        except ExpressionError as error:  # of a definition from before
            raise EvaluationError(str(error)) from error
        finally:
            self._left -= given - max(meter.left, 0)


def check(schema: Object, item: Any, old: Any) -> list[Cause]:
    """The rules that the value breaks, in an update only those of what it changes; ``old`` is None when it is new."""
    if not _has_rules(schema):
        return []
    before = NOTHING if old is None else typed(old, schema)
    return list(_walk(schema, _Part("", item, typed(item, schema), before), Budget()))


def faults(schema: Object, path: str) -> list[Cause]:
    """The rules of this schema that do not compile."""
    causes = []
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        place = f"{path}.x-kubernetes-validations[{index}]"
        text = rule.get("rule") if isinstance(rule, dict) else None
        if not isinstance(text, str) or not text:
            causes.append(Cause("FieldValueRequired", "Required value: rule is not specified", f"{place}.rule"))
            continue
        for name in ("rule", "messageExpression"):
            if fault := _fault(schema, rule.get(name) or "true", optional=bool(rule.get("optionalOldSelf"))):
                message = f"Invalid value: {quoted(rule[name])}: {name} compilation failed: {fault}"
                causes.append(Cause("FieldValueInvalid", message.replace("rule compilation", "compilation"),
                                    f"{place}.{name}"))  # fmt: skip
    return causes


def _fault(schema: Object, text: str, *, optional: bool) -> str:
    """Why an expression cannot be used with this schema, "" when it can."""
    try:
        compiled(text)
        return names.undeclared(parsed(text), {"self": schema, "oldSelf": None if optional else schema})
    except (ExpressionError, RecursionError) as error:
        return str(error)


class _Part(NamedTuple):
    """A part of the object."""

    path: str
    value: Any
    seen: Any  # as expressions see it
    old: Any  # as expressions saw what was there before


def _walk(schema: Object, part: _Part, budget: Budget) -> Iterator[Cause]:
    if part.value is None:
        return
    given = schema.get("x-kubernetes-validations", ())
    unchanged = bool(given) and is_unchanged(part.seen, part.old)
    for rule in given:
        if not unchanged or "oldSelf" in rule["rule"]:
            yield from _faults_of(rule, part, budget)
    for inner, each in _parts_of(schema, part):
        yield from _walk(inner, each, budget)


def _parts_of(schema: Object, part: _Part) -> Iterator[tuple[Object, _Part]]:
    """The parts of a part that a schema describes."""
    value = part.value
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for name in value:
            inner = schema.get("properties", {}).get(name) or (extra if isinstance(extra, dict) else None)
            if inner:
                place = f"{part.path}.{name}" if part.path else name
                yield inner, _Part(place, value[name], part.seen.get(name), correlation.member(part.old, name))
    elif isinstance(value, list) and "items" in schema:
        entries = correlation.entries(part.old, schema)
        for index, (entry, seen) in enumerate(zip(value, part.seen, strict=True)):
            yield schema["items"], _Part(f"{part.path}[{index}]", entry, seen, entries(seen))


def _faults_of(rule: Object, part: _Part, budget: Budget) -> Iterator[Cause]:
    known: Object = {"self": part.seen}
    if "oldSelf" in rule["rule"]:
        is_new = part.old is NOTHING or part.old is None
        if is_new and not rule.get("optionalOldSelf"):
            return
        known["oldSelf"] = part.old if not rule.get("optionalOldSelf") else Optional(() if is_new else (part.old,))
    try:
        holds = budget.evaluated(rule["rule"], known) is True
    except (EvaluationError, CostError) as error:
        message = f'Invalid value: "{kind_of(part.value)}": {error} evaluating rule: {_plain_message(rule)}'
        yield Cause("FieldValueInvalid", message, part.path)
        return
    if not holds:
        field = f"{part.path}{rule.get('fieldPath', '')}".lstrip(".")
        reason = rule.get("reason", REASONS[0])
        yield Cause(reason, ": ".join(_words(reason, part.value, _message(rule, known, budget))), field)


def _words(reason: str, value: Any, message: str) -> list[str]:
    """The parts of a message; a list or an object is not shown in it."""
    shown = [] if isinstance(value, (dict, list)) else [quoted(value)]
    return {
        "FieldValueForbidden": ["Forbidden", message],
        "FieldValueRequired": ["Required value", message],
        "FieldValueDuplicate": ["Duplicate value", *shown],
    }.get(reason, ["Invalid value", *shown, message])


def _message(rule: Object, known: Object, budget: Budget) -> str:
    if expression := rule.get("messageExpression"):
        try:
            if type(message := budget.evaluated(expression, known)) is str and message.strip():
                return message
        except (EvaluationError, CostError):
            pass  # as Kubernetes does: the plain message stands in
    return _plain_message(rule)


def _plain_message(rule: Object) -> str:
    return str(rule.get("message") or f"failed rule: {rule['rule']}").strip()
