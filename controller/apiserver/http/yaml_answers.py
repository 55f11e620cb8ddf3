"""Encode responses as block-style YAML. Pure.

libyaml writes a document in one call that holds the interpreter lock: a list of eight megabytes blocked the process for
four seconds. This encoder takes a tenth of that time because it only handles JSON values.
"""

from __future__ import annotations

import json
import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*+")
_RESERVED = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # JSON escapes the others
KEY_LENGTH = 80  # longer keys get an explicit "?": YAML limits implicit keys to 1024 characters, including escapes


def encode(item: dict[str, Any]) -> bytes:
    """Encode an object as a YAML document."""
    if not item:
        return b"{}\n"
    lines: list[str] = []
    _write(item, "", "", lines)
    return "\n".join([*lines, ""]).encode()


def _write(value: Any, indent: str, first: str, lines: list[str]) -> None:
    """Append the entries of a list or an object; ``first`` is the prefix of the first entry's line."""
    listed = isinstance(value, list)
    for name, part in (("", part) for part in value) if listed else value.items():
        head = f"{first or indent}{'-' if listed else _key(name, indent)}"
        first = ""
        if not part or not isinstance(part, (dict, list)):
            lines.append(f"{head} {_scalar(part)}")
        elif listed:
            _write(part, f"{indent}  ", f"{head} ", lines)
        else:
            lines.append(head)
            _write(part, indent if isinstance(part, list) else f"{indent}  ", "", lines)


def _key(name: str, indent: str) -> str:
    return f"{_scalar(name)}:" if len(name) <= KEY_LENGTH else f"? {_scalar(name)}\n{indent}:"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
            return value
        text = json.dumps(value, ensure_ascii=False)
        return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    text = json.dumps(value)
    if isinstance(value, float) and "." not in text:
        return text.replace("e", ".0e")  # without the point YAML 1.1 parses it as a string
    return text
