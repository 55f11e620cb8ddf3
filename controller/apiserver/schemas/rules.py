"""Evaluates the CEL rules of a schema (x-kubernetes-validations), including transition rules with ``oldSelf``.

The cost limit per rule is Kubernetes'; the limit per object is lower, because evaluation blocks the event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from controller.apiserver.schemas import correlation
from controller.apiserver.schemas.causes import NO_FIELD, Cause, kind_of, quoted
from controller.apiserver.schemas.cel import names
from controller.apiserver.schemas.cel.compiler import compiled
from controller.apiserver.schemas.cel.failures import CostError, EvaluationError, ExpressionError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.parser import parsed
from controller.apiserver.schemas.cel.typed import typed
from controller.apiserver.schemas.cel.values import Optional
from controller.apiserver.schemas.correlation import ABSENT, is_unchanged

Object = dict[str, Any]

COST_OF_RULE = 1_000_000  # as in Kubernetes
COST_OF_OBJECT = 2_000_000  # a fifth of Kubernetes' limit
# Limit for all rules of a definition together; compiling takes some microseconds per character. Large definitions in
# use have about twenty thousand.
CHARACTERS = 256 << 10
UNCHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
# With schema faults of these kinds, rules are not evaluated: their result would mean nothing.
BLOCKING = ("FieldValueTypeInvalid", "FieldValueRequired", "FieldValueNotSupported", "FieldValueTooLong",
            "FieldValueTooMany")  # fmt: skip
REASONS = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")


def unchecked(schema: Object, causes: list[Cause]) -> list[Cause]:
    """The cause that says rules were skipped, because of faults in the object; empty when rules can be evaluated."""
    if all(cause.reason not in BLOCKING for cause in causes) or not _Walk().has_rules(schema):
        return []
    return [Cause("FieldValueInvalid", UNCHECKED, NO_FIELD)]


def _parts(schema: Object) -> list[Object]:
    """The schemas of properties, items and additional properties."""
    properties = schema.get("properties")
    parts = [*(properties.values() if isinstance(properties, dict) else ()),
             schema.get("items"), schema.get("additionalProperties")]  # fmt: skip
    return [part for part in parts if isinstance(part, dict)]


def characters(schema: Object) -> int:
    """The total length of all rules of a schema and its subschemas."""
    # Called before the schema is validated: its parts may have any type.
    own = sum(len(text) for rule in schema.get("x-kubernetes-validations") or () if isinstance(rule, dict)
              for text in (rule.get("rule"), rule.get("messageExpression")) if isinstance(text, str))  # fmt: skip
    return own + sum(map(characters, _parts(schema)))


class Budget:
    """The remaining cost budget for the rules of one object."""

    def __init__(self) -> None:
        self._left = COST_OF_OBJECT

    def evaluate(self, rule: str, known: Object) -> Any:
        """The result of a rule. Raises EvaluationError, CostError."""
        # A copy of the variables: macros bind theirs in it while they run.
        meter = Meter(min(self._left, COST_OF_RULE), dict(known))
        given = meter.left
        try:
            return compiled(rule)(meter)
        except RecursionError as error:
            raise EvaluationError("the rule or the value is nested too deeply") from error
        except ExpressionError as error:  # the definition was stored by an older version, which accepted it
            raise EvaluationError(str(error)) from error
        finally:
            # Also after an error: a rule that fails has used its time all the same.
            self._left -= given - max(meter.left, 0)


def check(schema: Object, item: Any, old: Any) -> list[Cause]:
    """The rules that the value violates; in an update only those of changed parts. ``old`` is None on create."""
    return list(_Walk().causes(schema, _Part("", item, item, ABSENT if old is None else old, is_typed=False)))


def faults(schema: Object, path: str) -> list[Cause]:
    """Faults of the rules of this schema: those that are missing or do not compile."""
    causes = []
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        place = f"{path}.x-kubernetes-validations[{index}]"
        text = rule.get("rule") if isinstance(rule, dict) else None
        if not isinstance(text, str) or not text:
            causes.append(Cause("FieldValueRequired", "Required value: rule is not specified", f"{place}.rule"))
            continue
        for name in ("rule", "messageExpression"):
            # Compiled when the definition is written: its author sees the error, not the author of the first object.
            if fault := _fault(schema, rule.get(name) or "true", optional=bool(rule.get("optionalOldSelf"))):
                message = f"Invalid value: {quoted(rule[name])}: {name} compilation failed: {fault}"
                causes.append(Cause("FieldValueInvalid", message.replace("rule compilation", "compilation"),
                                    f"{place}.{name}"))  # fmt: skip
    return causes


def _fault(schema: Object, text: str, *, optional: bool) -> str:
    """Why an expression does not compile against this schema, "" when it does."""
    try:
        compiled(text)
        # An optional oldSelf has the fields of an optional value, which no schema describes.
        return names.undeclared(parsed(text), {"self": schema, "oldSelf": None if optional else schema})
    except (ExpressionError, RecursionError) as error:
        return str(error)


class _Part(NamedTuple):
    """A part of the object under validation."""

    path: str
    value: Any
    typed_value: Any  # the value with CEL types, once it is typed
    old: Any  # the old value, with CEL types once it is typed, or ABSENT
    is_typed: bool

    def typed_by(self, schema: Object) -> _Part:
        """The part with CEL types, converted once for all rules in it."""
        if self.is_typed:
            return self
        before = self.old if self.old is ABSENT else typed(self.old, schema)
        return self._replace(typed_value=typed(self.value, schema), old=before, is_typed=True)


class _Walk:
    """Evaluates the rules of one object. Visits and converts no part without rules, such as a long status."""

    def __init__(self) -> None:
        self._budget = Budget()
        self._with_rules: dict[int, bool] = {}  # by the id of a schema, which the walk keeps alive

    def causes(self, schema: Object, part: _Part) -> Iterator[Cause]:
        """The violations in a part."""
        # As in Kubernetes, rules of a null are not evaluated, nor those below it.
        if part.value is None or not self.has_rules(schema):
            return
        given = schema.get("x-kubernetes-validations") or ()
        if given:
            part = part.typed_by(schema)
        unchanged = bool(given) and is_unchanged(part.typed_value, part.old)
        for rule in given:
            # Transition rules are always evaluated, as in Kubernetes, even if their part is unchanged.
            if not unchanged or "oldSelf" in rule["rule"]:
                yield from _violations(rule, part, self._budget)
        for inner, each in _parts_of(schema, part):
            yield from self.causes(inner, each)

    def has_rules(self, schema: Object) -> bool:
        """Whether there are rules in a schema, which is looked at once, however many items of a list have it."""
        found = self._with_rules.get(id(schema))
        if found is None:
            found = bool(schema.get("x-kubernetes-validations")) or any(map(self.has_rules, _parts(schema)))
            self._with_rules[id(schema)] = found
        return found


def _parts_of(schema: Object, part: _Part) -> Iterator[tuple[Object, _Part]]:
    """The children of a part that have a schema."""
    value = part.value
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for name in value:
            inner = schema.get("properties", {}).get(name) or (extra if isinstance(extra, dict) else None)
            if inner:
                place, old = f"{part.path}.{name}" if part.path else name, correlation.member(part.old, name)
                yield inner, _Part(place, value[name], part.typed_value.get(name), old, part.is_typed)
    elif isinstance(value, list) and "items" in schema:
        entries = correlation.entries(part.old, schema)
        for index, (entry, typed_value) in enumerate(zip(value, part.typed_value, strict=True)):
            yield (
                schema["items"],
                _Part(f"{part.path}[{index}]", entry, typed_value, entries(typed_value), part.is_typed),
            )


def _violations(rule: Object, part: _Part, budget: Budget) -> Iterator[Cause]:
    known: Object = {"self": part.typed_value}
    if "oldSelf" in rule["rule"]:
        is_new = part.old is ABSENT or part.old is None
        # A transition rule says nothing about a value that had no predecessor.
        if is_new and not rule.get("optionalOldSelf"):
            return
        known["oldSelf"] = part.old if not rule.get("optionalOldSelf") else Optional(() if is_new else (part.old,))
    try:
        # ``is True``: types are not checked when a definition is written, and a truthy text must not pass as a bool.
        holds = budget.evaluate(rule["rule"], known) is True
    except (EvaluationError, CostError) as error:
        message = f'Invalid value: "{kind_of(part.value)}": {error} evaluating rule: {_plain_message(rule)}'
        # An error refuses the object: a rule that cannot be evaluated protects nothing.
        yield Cause("FieldValueInvalid", message, part.path)
        return
    if not holds:
        field = f"{part.path}{rule.get('fieldPath', '')}".lstrip(".")
        reason = rule.get("reason", REASONS[0])
        yield Cause(reason, ": ".join(_message_parts(reason, part.value, _message(rule, known, budget))), field)


def _message_parts(reason: str, value: Any, message: str) -> list[str]:
    """The parts of a message; lists and objects are not quoted."""
    shown = [] if isinstance(value, (dict, list)) else [quoted(value)]
    return {
        "FieldValueForbidden": ["Forbidden", message],
        "FieldValueRequired": ["Required value", message],
        "FieldValueDuplicate": ["Duplicate value", *shown],
    }.get(reason, ["Invalid value", *shown, message])


def _message(rule: Object, known: Object, budget: Budget) -> str:
    if expression := rule.get("messageExpression"):
        try:
            if type(message := budget.evaluate(expression, known)) is str and message.strip():
                return message
        except (EvaluationError, CostError):
            pass  # fall back to the plain message, as Kubernetes does
    return _plain_message(rule)


def _plain_message(rule: Object) -> str:
    return str(rule.get("message") or f"failed rule: {rule['rule']}").strip()
