"""Encodes the body of a runtime's response for a message: as JSON, text or base64, of bounded size. Pure."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, NamedTuple, NoReturn

LIMIT = 512 * 1024  # bytes of a body: 683 kB as base64, and a message may have 900 kB
ENCODED_LIMIT = 700_000  # characters of a body as JSON text, where escaping turns one character into up to six

_TYPE_LENGTH = 256  # how many characters of a Content-Type are parsed
_BINARY = "application/octet-stream"
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)
# Charsets of the web. Python has more codecs, and some of them (punycode, idna) take minutes for a large body.
_KNOWN = re.compile(
    r"utf-?8|utf-?(16|32)(-?[bl]e)?|(us-)?ascii|iso-8859-\d\d?|latin-?1|(windows-|cp)125\d"
    r"|gb(k|2312|18030)|big5|shift_jis|euc-(jp|kr)|koi8-[ru]",
    re.IGNORECASE,
)


class Body(NamedTuple):
    """``encoding`` is "base64" when ``value`` is base64 text, else ""."""

    value: Any
    encoding: str = ""
    truncated: bool = False


def media_type_and_charset(header: str) -> tuple[str, str | None]:
    """Media type and charset of a Content-Type.

    Parsed here because aiohttp's parser takes time quadratic in the number of parameters.
    """
    shortened = header[:_TYPE_LENGTH]
    charset = _CHARSET.search(shortened)
    return shortened.partition(";")[0].strip().lower() or _BINARY, charset and charset[1]


def of(content: bytes, content_type: str, charset: str | None, *, cut: bool) -> Body:
    """A JSON value if possible, else text, else base64. A body that was ``cut`` is not parsed as JSON."""
    if not cut and content_type.endswith(("/json", "+json")):
        try:
            return _of_json(content)
        except (ValueError, RecursionError):  # not JSON after all, or larger than a message may be
            return _of_text(content.decode(errors="replace"), cut=cut)
    text = _decoded(content, content_type, charset, cut=cut)
    if text is None:
        return Body(base64.b64encode(content).decode(), "base64", cut)
    return _of_text(text, cut=cut)


def _of_json(content: bytes) -> Body:
    # Python would accept NaN and Infinity, which the answer cannot carry.
    value = json.loads(content, parse_constant=_refuse)
    if len(json.dumps(value)) > ENCODED_LIMIT:
        raise ValueError("too large")
    return Body(value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _decoded(content: bytes, content_type: str, charset: str | None, *, cut: bool) -> str | None:
    if content_type.startswith("text/") or (cut and content_type.endswith(("json", "xml"))):
        known = charset if charset and _KNOWN.fullmatch(charset) else "utf-8"
        try:
            return content.decode(known, errors="replace")
        except LookupError:  # the pattern admits names that do not exist, like windows-1259
            return content.decode(errors="replace")
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _of_text(text: str, *, cut: bool) -> Body:
    # Repeated, because escapes are not spread evenly over the text.
    while (length := len(json.dumps(text))) > ENCODED_LIMIT:
        text, cut = text[: len(text) * ENCODED_LIMIT // length], True
    return Body(text, truncated=cut)
