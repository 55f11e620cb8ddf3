"""String functions (cel-go: ext/strings; Kubernetes: regex)."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from controller.apiserver.schemas import strings
from controller.apiserver.schemas.cel import lists
from controller.apiserver.schemas.cel.failures import EvaluationError
from controller.apiserver.schemas.cel.meter import Meter
from controller.apiserver.schemas.cel.values import no_overload, quoted, shown, size_of

_CLAUSE = re.compile(r"%(?:\.(\d{1,3}))?([%sdfeboxX])|%")
# ASCII only, as the functions are named; str.lower() would also change umlauts.
_LOWER = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})
_UPPER = str.maketrans({chr(code): chr(code - 32) for code in range(ord("a"), ord("z") + 1)})
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_NONE = object()
# Unicode's White_Space as Go has it; Python's strip() also removes U+001C to U+001F.
_BLANKS = "".join(
    map(chr, (*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))
)


def _require_strings(*values: Any) -> None:
    """Raises TypeError unless all values are strings."""
    for value in values:
        if type(value) is not str:
            raise TypeError


def _char_at(meter: Meter, text: str, place: int) -> str:
    return _substring(meter, text, place, place + 1) if place != len(text) else ""


def _substring(meter: Meter, text: str, begin: int, end: int | None = None) -> str:
    _require_strings(text)
    end = len(text) if end is None else end
    if not 0 <= begin <= end <= len(text):
        raise EvaluationError(f"index out of range: {begin if not 0 <= begin <= len(text) else end}")
    meter.traverse(end - begin)
    return text[begin:end]


def _index_of(meter: Meter, value: Any, wanted: Any, start: int = 0) -> int:
    if isinstance(value, list):
        return lists.index_of(meter, value, wanted)
    _require_strings(value, wanted)
    meter.search(len(value), len(wanted))
    if start < 0:
        raise EvaluationError(f"index out of range: {start}")
    return value.find(wanted, start)  # type: ignore[no-any-return]


def _last_index_of(meter: Meter, value: Any, wanted: Any, end: int | None = None) -> int:
    if isinstance(value, list):
        found = lists.index_of(meter, value[::-1], wanted)
        return found if found < 0 else len(value) - 1 - found
    _require_strings(value, wanted)
    meter.search(len(value), len(wanted))
    if end is None:
        return value.rfind(wanted)  # type: ignore[no-any-return]
    if end < 0:
        raise EvaluationError(f"index out of range: {end}")
    # rfind takes the end of the match, CEL its last possible beginning.
    return value.rfind(wanted, 0, end + len(wanted)) if end < len(value) else -1


def _translated(table: dict[int, Any]) -> Callable[[Meter, str], str]:
    def translated(meter: Meter, text: str) -> str:
        _require_strings(text)
        meter.traverse(len(text))
        return text.translate(table)

    return translated


def _replace(meter: Meter, text: str, old: str, new: str, limit: int = -1) -> str:
    _require_strings(text, old, new)
    meter.traverse(2 * len(text))
    # Counted first: replacing each character by a long text multiplies, and must be paid for before it is built.
    count = text.count(old) if limit < 0 else min(limit, text.count(old))
    meter.traverse(count * len(new))
    return text.replace(old, new, limit)


def _split(meter: Meter, text: str, separator: str, limit: int = -1) -> list[str]:
    _require_strings(text, separator)
    meter.traverse(2 * len(text))
    if limit == 0:
        return []
    if separator:
        # The items as well as the characters: a list of a million empty strings takes more memory than its text.
        meter.charge(text.count(separator))
        return text.split(separator, limit - 1 if limit > 0 else -1)
    meter.charge(len(text))
    parts = list(text)
    return parts if limit < 0 or limit >= len(parts) else [*parts[: limit - 1], "".join(parts[limit - 1 :])]


def _join(meter: Meter, parts: list[str], separator: str = "") -> str:
    _require_strings(separator, *parts)
    meter.traverse(2 * (sum(map(len, parts)) + len(parts) * len(separator)) + 10 * len(parts))
    return separator.join(parts)


def _trim(meter: Meter, text: str) -> str:
    _require_strings(text)
    meter.traverse(len(text))
    return text.strip(_BLANKS)


def _reverse(meter: Meter, value: Any) -> Any:
    meter.traverse(10 * size_of(value))
    return value[::-1]


def _found(decide: Callable[[str, str], bool]) -> Callable[[Meter, str, str], bool]:
    def found(meter: Meter, text: str, other: str) -> bool:
        _require_strings(text, other)
        meter.traverse(len(other))
        return decide(text, other)

    return found


def _contains(meter: Meter, text: str, part: str) -> bool:
    _require_strings(text, part)
    meter.charge((1 + len(text) // 10) * (1 + len(part) // 10))
    return part in text


def _matches(meter: Meter, text: str, pattern: str) -> bool:
    return _pattern(meter, text, pattern).search(text) is not None


def _find(meter: Meter, text: str, pattern: str) -> str:
    found = _pattern(meter, text, pattern).search(text)
    return found[0] if found else ""


def _find_all(meter: Meter, text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    # Match on bytes: on a str, re2 takes time linear in the text for each match.
    matches = _pattern(meter, text, pattern).finditer(text.encode(errors="replace"))
    for match in matches if limit < 0 else islice(matches, limit):
        meter.charge(4)
        found.append(match[0].decode(errors="replace"))
    return found


def _pattern(meter: Meter, text: str, pattern: str) -> Any:
    """The compiled pattern, after charging for a match. Raises EvaluationError."""
    _require_strings(text, pattern)
    # Before compiling: that also takes time that grows with the pattern.
    meter.search(len(text), len(pattern))
    if why := strings.pattern_fault(pattern):
        raise EvaluationError(f"the pattern does not compile: {why}")
    return strings.compiled(pattern)


def _format(meter: Meter, text: str, given: list[Any]) -> str:
    _require_strings(text)
    rest = iter(given)
    made: list[str] = []
    place = 0
    for match in _CLAUSE.finditer(text):
        made.append(text[place : match.start()])
        place = match.end()
        if match[2] is None:
            raise EvaluationError("unrecognized formatting clause")
        made.append("%" if match[2] == "%" else _clause(meter, match[2], match[1], next(rest, _NONE)))
    made.append(text[place:])
    meter.traverse(sum(map(len, made)))
    return "".join(made)


def _clause(meter: Meter, kind: str, digits: str | None, value: Any) -> str:
    """Format one value for its clause. Raises EvaluationError, CostError."""
    if value is _NONE:
        raise EvaluationError("index out of range: too few arguments for the format")
    if kind == "s":
        _charge_for_formatting(meter, value)
        return shown(value)
    if kind in "fe" and type(value) in (int, float):
        # Six digits by default, as in C and Go.
        made = _decimal(float(value), int(digits or 6), kind)
    elif kind in "xX" and type(value) in (str, bytes):
        meter.traverse(2 * len(value))
        made = (value.encode() if isinstance(value, str) else value).hex()
        made = made.upper() if kind == "X" else made
    elif kind in "dboxX" and isinstance(value, int) and (type(value) is not bool or kind == "b"):
        made = format(int(value), kind)
    else:
        raise no_overload(f"%{kind}", value)
    return made


def _decimal(value: float, digits: int, kind: str) -> str:
    """As Go formats it in the English locale."""
    if kind == "f":
        return f"{value:,.{digits}f}"
    number, _, power = f"{value:.{digits}e}".partition("e")
    return f"{number}\u00d710{power.removeprefix('+').translate(_RAISED)}"


def _charge_for_formatting(meter: Meter, value: Any) -> None:
    """Charge for formatting a value. An item that a list contains several times is charged each time."""
    meter.charge(1 + size_of(value) // 10)
    for part in value if isinstance(value, list) else (*value, *value.values()) if type(value) is dict else ():
        _charge_for_formatting(meter, part)


def _quote(meter: Meter, text: str) -> str:
    _require_strings(text)
    meter.traverse(len(text))
    return quoted(text)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "charAt": _char_at,
    "contains": _contains,
    "endsWith": _found(str.endswith),
    "find": _find,
    "findAll": _find_all,
    "format": _format,
    "indexOf": _index_of,
    "join": _join,
    "lastIndexOf": _last_index_of,
    "lowerAscii": _translated(_LOWER),
    "matches": _matches,
    "replace": _replace,
    "reverse": _reverse,
    "split": _split,
    "startsWith": _found(str.startswith),
    "strings.quote": _quote,
    "substring": _substring,
    "trim": _trim,
    "upperAscii": _translated(_UPPER),
}
