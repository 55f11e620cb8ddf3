"""CEL rules of a schema (x-kubernetes-validations), transition rules with ``oldSelf`` included.

The evaluator is the `common-expression-language` package (cel-rust); it is loaded when the first rule is met.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from controller.apiserver.schemas import correlation
from controller.apiserver.schemas.causes import NOWHERE, Cause, kind_of, quoted
from controller.apiserver.schemas.correlation import NOTHING, is_unchanged
from controller.apiserver.schemas.rule_costs import RULE_LENGTH, Budget
from controller.apiserver.schemas.rule_functions import FUNCTIONS
from controller.apiserver.schemas.structural import PRESERVE

Object = dict[str, Any]

LITERAL = re.compile(r"""r?"(?:[^"\\]|\\.)*"|r?'(?:[^'\\]|\\.)*'""")
# Field selections from the value itself; the last name of a chain may be a method's, which is left out.
CHAIN = re.compile(r"\b(?:self|oldSelf)((?:\.[A-Za-z_]\w*(?![\w(]))+)")
BUILT_IN = ("all", "bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "exists", "existsOne",
            "exists_one", "filter", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear",
            "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "has", "int", "map", "matches",
            "optional", "of", "none", "orValue", "hasValue", "value", "size", "startsWith", "string", "timestamp",
            "type", "uint")  # fmt: skip
UNCHECKED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
# What a schema says that makes rules meaningless.
BLOCKING = ("FieldValueTypeInvalid", "FieldValueRequired", "FieldValueNotSupported", "FieldValueTooLong",
            "FieldValueTooMany")  # fmt: skip
# What the evaluation of a rule raises.
EVALUATION = (LookupError, ValueError, TypeError, RuntimeError, ArithmeticError, AttributeError)
# No other result leaves the evaluator: a list would be copied with all that it shares.
TRUTH, TEXT = "({}\n) == true", "({}\n) + ''"
REASONS = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")


def unchecked(schema: Object, causes: list[Cause]) -> list[Cause]:
    """What is said of the rules of an object that is too wrong to ask them; nothing where they can be asked."""
    if not _has_rules(schema) or all(cause.reason not in BLOCKING for cause in causes):
        return []
    return [Cause("FieldValueInvalid", UNCHECKED, NOWHERE)]


def _has_rules(schema: Object) -> bool:
    extra = schema.get("additionalProperties")
    parts = [*schema.get("properties", {}).values(), schema.get("items"), extra]
    return bool(schema.get("x-kubernetes-validations")) or any(_has_rules(p) for p in parts if isinstance(p, dict))


def check(schema: Object, item: Any, old: Any) -> list[Cause]:
    """The rules that the value breaks, in an update only those of what it changes; ``old`` is None when it is new."""
    return list(_walk(schema, item, NOTHING if old is None else old, "", Budget()))


def faults(schema: Object, path: str) -> list[Cause]:
    """The rules of this schema that do not compile."""
    causes = []
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        place = f"{path}.x-kubernetes-validations[{index}].rule"
        text = rule.get("rule") if isinstance(rule, dict) else None
        if not isinstance(text, str) or not text:
            causes.append(Cause("FieldValueRequired", "Required value: rule is not specified", place))
            continue
        if fault := _fault(schema, text):
            message = f"Invalid value: {quoted(text)}: compilation failed: {fault}"
            causes.append(Cause("FieldValueInvalid", message, place))
    return causes


def _fault(schema: Object, rule: str) -> str:
    """Why a rule cannot be used with this schema, "" when it can."""
    try:
        program = _program(rule)
    except ValueError as error:
        return str(error)
    unknown = [name for name in program.functions() if name.isidentifier() and name not in {*FUNCTIONS, *BUILT_IN}]
    if unknown:
        return f"undeclared reference to '{unknown[0]}'"
    for chain in CHAIN.findall(LITERAL.sub("''", rule)):
        if undefined := _undefined(schema, chain.split(".")[1:]):
            return f"undefined field '{undefined}'"
    return ""


def _undefined(schema: Object, names: list[str]) -> str:
    """The first name that the schema does not have, as far as it tells; CEL writes the dash as __dash__."""
    for name in names:
        properties = schema.get("properties")
        if not properties or schema.get(PRESERVE):
            return ""
        wanted = name.replace("__dash__", "-").replace("__dot__", ".").replace("__slash__", "/")
        if wanted.strip("_") in properties and wanted not in properties:
            wanted = wanted.strip("_")
        if wanted not in properties:
            return name
        schema = properties[wanted]
    return ""


def _walk(schema: Object, value: Any, old: Any, path: str, budget: Budget) -> Iterator[Cause]:
    if value is None:
        return
    given = schema.get("x-kubernetes-validations", ())
    unchanged = bool(given) and is_unchanged(value, old)
    for rule in given:
        if not unchanged or "oldSelf" in rule["rule"]:
            yield from _faults_of(rule, value, old, path, budget)
    if isinstance(value, dict):
        for name, part in value.items():
            extra = schema.get("additionalProperties")
            inner = schema.get("properties", {}).get(name) or (extra if isinstance(extra, dict) else None)
            if inner:
                before = correlation.member(old, name)
                yield from _walk(inner, part, before, f"{path}.{name}" if path else name, budget)
    elif isinstance(value, list) and "items" in schema:
        entries = correlation.entries(old, schema)
        for index, entry in enumerate(value):
            yield from _walk(schema["items"], entry, entries(entry), f"{path}[{index}]", budget)


def _faults_of(rule: Object, value: Any, old: Any, path: str, budget: Budget) -> Iterator[Cause]:
    text = rule["rule"]
    known: Object = {"self": value}
    if "oldSelf" in text:
        before = None if old is NOTHING else old
        if before is None and not rule.get("optionalOldSelf"):
            return
        known["oldSelf"] = before
    try:
        holds = bool(_evaluated(TRUTH, text, known, budget))
    except EVALUATION as error:
        why = f"no such key: {error.args[0]}" if isinstance(error, KeyError) else str(error)
        told = f'Invalid value: "{kind_of(value)}": {why} evaluating rule: {_plain_message(rule)}'
        yield Cause("FieldValueInvalid", told, path)
        return
    if not holds:
        field = f"{path}{rule.get('fieldPath', '')}".lstrip(".")
        reason = rule.get("reason", REASONS[0])
        yield Cause(reason, ": ".join(_words(reason, value, _message(rule, known, budget))), field)


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
            return str(_evaluated(TEXT, expression, known, budget))
        except EVALUATION:
            pass  # as Kubernetes does: the plain message stands in
    return _plain_message(rule)


def _plain_message(rule: Object) -> str:
    return str(rule.get("message") or f"failed rule: {rule['rule']}").strip()


def _evaluated(form: str, rule: str, known: Object, budget: Budget) -> Any:
    """Raises EVALUATION."""
    budget.spend(rule, known)
    program = _program(rule, form)
    context = _cel().Context(known)
    for name in FUNCTIONS.keys() & set(program.functions()):
        context.add_function(name, budget.metered(FUNCTIONS[name]))
    return _guarded(program.execute, context)


@lru_cache(256)
def _program(rule: str, form: str = "{}") -> Any:
    """Raises ValueError."""
    if len(rule) > RULE_LENGTH:
        raise ValueError(f"the rule is longer than {RULE_LENGTH} characters")
    return _guarded(_cel().compile, form.format(rule))


def _guarded(run: Callable[[Any], Any], given: Any) -> Any:
    """A panic of the evaluator is no Exception, and would end the request without an answer. Raises EVALUATION."""
    try:
        return run(given)
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise ValueError("the rule cannot be evaluated") from error
        raise


def _cel() -> Any:
    # The package imports its own command line (rich, typer: 25 MB) at once; an empty module in its place costs nothing.
    sys.modules.setdefault("cel.cli", types.ModuleType("cel.cli"))
    import cel  # noqa: PLC0415 - only where a schema has rules

    return cel
