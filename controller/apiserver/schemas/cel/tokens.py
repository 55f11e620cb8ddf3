"""Splits an expression into names, literals and signs (language definition: Lexical Analysis)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from controller.apiserver.schemas.cel.failures import ExpressionError
from controller.apiserver.schemas.cel.values import INTEGERS, UNSIGNED, Uint

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|//[^\n]*)+)
    |(?P<kind>[bB]?[rR]?|[rR][bB])
     (?P<text>\"{3}(?:[^\\]|\\[\s\S])*?\"{3}|'{3}(?:[^\\]|\\[\s\S])*?'{3}|"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}])""",
    re.VERBOSE,
)
# In a raw string a backslash escapes nothing, not even a quote, so the string ends elsewhere.
_RAW = re.compile(r"""(?:[rR][bB]?|[bB][rR])(?P<text>\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\r\n]*"|'[^'\r\n]*')""")
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|X([0-9a-fA-F]{2})|([\s\S]))"
)
_SINGLE = {**dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)), **{sign: sign for sign in "\\'\"`?"}}
WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
RESERVED = {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
            "namespace", "return", "var", "void", "while"}  # fmt: skip


class Token(NamedTuple):
    """One token: ``kind`` is "name", "literal", "sign" or "end"."""

    kind: str
    value: Any
    place: int


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, the last of kind "end". Raises ExpressionError."""
    found, place = [], 0
    while place < len(text):
        # Raw strings first: _TOKEN would take r"\" and what follows for one longer string.
        match = _RAW.match(text, place) or _TOKEN.match(text, place)
        if not match:
            raise ExpressionError(f"Syntax error: token recognition error at: '{text[place : place + 10]}'")
        if match.re is _RAW:
            found.append(Token("literal", _text(match[0][: match.start("text") - place], match["text"]), place))
        elif match.lastgroup != "space":
            found.append(_token(match, place))
        place = match.end()
    return [*found, Token("end", "<EOF>", place)]


def _token(match: re.Match[str], place: int) -> Token:
    if match["text"]:
        return Token("literal", _text(match["kind"] or "", match["text"]), place)
    if match["number"]:
        return Token("literal", _number(match["number"]), place)
    if match["name"] in WORDS:
        return Token("literal", WORDS[match["name"]], place)
    kind = match.lastgroup or "sign"
    return Token(kind, match[kind], place)


def _number(text: str) -> int | float:
    if "." in text or ("e" in text.lower() and not text.lower().startswith("0x")):
        return float(text)
    unsigned = text[-1] in "uU"
    digits = text.rstrip("uU").lower()
    if len(digits) > 20:  # check before int(): parsing takes quadratic time
        raise ExpressionError("invalid int literal")
    value = int(digits, 16 if digits.startswith("0x") else 10)
    if value not in UNSIGNED if unsigned else value > INTEGERS.stop:  # the parser applies a minus later
        raise ExpressionError("invalid uint literal" if unsigned else "invalid int literal")
    return Uint(value) if unsigned else value


def _text(kind: str, quoted: str) -> str | bytes:
    width = 3 if quoted[:3] in ('"""', "'''") and len(quoted) >= 6 else 1
    inner = quoted[width:-width]
    of_bytes = "b" in kind.lower()
    if "r" in kind.lower():
        return inner.encode() if of_bytes else inner
    if not of_bytes:
        return _ESCAPE.sub(_escaped, inner)
    # In bytes, \xff is the byte 255; in a string it is the character U+00FF, which has two bytes.
    parts, place = bytearray(), 0
    for match in _ESCAPE.finditer(inner):
        digits = match[1] or match[5]
        number = int(digits, 16) if digits else int(match[4], 8) if match[4] else None
        parts += inner[place : match.start()].encode()
        parts += _escaped(match).encode() if number is None else bytes([number])
        place = match.end()
    return bytes(parts + inner[place:].encode())


def _escaped(match: re.Match[str]) -> str:
    if digits := match[1] or match[2] or match[3] or match[5]:
        number = int(digits, 16)
    elif match[4]:
        number = int(match[4], 8)
    elif match[6] in _SINGLE:
        return _SINGLE[match[6]]
    else:
        raise ExpressionError(f"invalid escape: \\{match[6]}")
    # A lone surrogate cannot be encoded as UTF-8, as an answer that quotes it has to be.
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise ExpressionError(f"invalid unicode code point: {number:x}")
    return chr(number)
