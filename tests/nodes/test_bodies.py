"""A body in a message to the cloud: JSON, else text, else base64, and no larger than a message may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.nodes import bodies


@pytest.mark.parametrize(
    ("content", "content_type", "charset", "value", "encoding"),
    [
        (b'{"a": 1}', "application/json", None, {"a": 1}, ""),
        (b'{"a": 1}', "application/problem+json", None, {"a": 1}, ""),
        (b"{broken", "application/json", None, "{broken", ""),
        (b'{"a": NaN}', "application/json", None, '{"a": NaN}', ""),
        (b"[" * 100_000, "application/json", None, "[" * 100_000, ""),
        (b"", "application/octet-stream", None, "", ""),
        ("grün".encode(), "application/octet-stream", None, "grün", ""),
        ("grün".encode("latin-1"), "text/plain", "latin-1", "grün", ""),
        (b"a\xff", "text/plain", "no-such-charset", "a\ufffd", ""),
        (b"a\xff", "text/plain", "idna", "a\ufffd", ""),
        (b"a\xff", "text/plain", "undefined", "a\ufffd", ""),
        (b"a\xff", "text/plain", "windows-1259", "a\ufffd", ""),
        (b"mnchen-3ya", "text/plain", "punycode", "mnchen-3ya", ""),
        (b"\\x41", "text/plain", "unicode_escape", "\\x41", ""),
        ("Grün".encode("utf-16"), "text/plain", "UTF-16", "Grün", ""),
        ("Ж".encode("cp1251"), "text/plain", "windows-1251", "Ж", ""),
        (b"\x00\x01", "application/octet-stream", None, "AAE=", "base64"),
        (b"\xff\xd8", "image/jpeg", None, "/9g=", "base64"),
    ],
)
def test_a_body_is_json_else_text_else_base64(
    content: bytes, content_type: str, charset: str | None, value: Any, encoding: str
) -> None:
    assert bodies.of(content, content_type, charset, cut=False) == bodies.Body(value, encoding, False)


@pytest.mark.parametrize("text", ["\x01" * bodies.LIMIT, "ü" * bodies.LIMIT])
def test_a_text_that_grows_in_json_is_cut_to_fit_a_message(text: str) -> None:
    body = bodies.of(text.encode(), "text/plain", None, cut=False)
    assert body.truncated
    assert 0.9 * bodies.ENCODED_LIMIT < len(json.dumps(body.value)) <= bodies.ENCODED_LIMIT


@pytest.mark.parametrize(
    ("header", "media", "charset"),
    [
        ("", "application/octet-stream", None),
        ("text/plain", "text/plain", None),
        ("Text/HTML; Charset=latin-1", "text/html", "latin-1"),
        ('application/json;a=b ; charset = "utf-8";x', "application/json", "utf-8"),
        ("text/plain" + ";a=b" * 2000 + ";charset=latin-1", "text/plain", None),
        ("a" * 5000, "a" * 256, None),
    ],
)
def test_only_the_beginning_of_a_content_type_is_parsed(header: str, media: str, charset: str | None) -> None:
    assert bodies.media_type_and_charset(header) == (media, charset)
