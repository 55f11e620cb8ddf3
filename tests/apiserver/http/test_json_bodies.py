"""Decoding of JSON and YAML bodies as in Kubernetes, with bounded time and memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import bounds
from controller.apiserver.http import json_bodies, yaml_bodies

MEGABYTES = 3 << 20
# Characters that YAML and JSON both accept unescaped: no control characters, no Unicode line breaks.
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp")), max_size=20)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"nul", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e400}', b"1" * 5000, b'{"a":"\\ud800"}',
        b'{"\\uDFFF":1}', b'{"a":"\xff"}', b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b'{"a":1}{}',
        b'{"a":"\x00"}', b'"' + b'\\"' * 1000,
    ],
)  # fmt: skip
def test_json_that_kubernetes_rejects_is_rejected(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        json_bodies.of_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"a: &x [1]\nb: *x\n", b"<<: {a: 1}", b"? [a]\n: 1", b"? {a: 1}\n: 1", b"~: 1", b"a: 1\n---\nb: 2\n",
        b"a: .nan",
        b"a: -.inf", b"a: !!binary aGk=", b"!!set {a, b}",
        b'!!python/object/apply:os.system ["true"]', b"%TAG !a! b\n---\na: 1", b"a: \x00", b"a: \xff", b"a: [", b"- 'x",
        b'a: "\\ud800"',
    ],
)  # fmt: skip
def test_yaml_that_json_cannot_represent_is_rejected(raw: bytes) -> None:
    with pytest.raises((ValueError, yaml.YAMLError)):
        yaml_bodies.of_yaml(raw)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-02-02T00:00:00Z", "2026-02-02T00:00:00Z"), ("2026-02-02", "2026-02-02"), ("12:30:15", "12:30:15"),
        ("yes", True), ("Off", False), ("y", True), ("oN", "oN"), ("~", None), ("", None), ("'1'", "1"),
        ("!!str 1", "1"), ("!!timestamp 2026-02-02", "2026-02-02"), ("1e400", "1e400"), ("9" * 400, "9" * 400),
        ("0777", 511), ("0o17", 15), ("0x1F", 31), ("-0b11", -3), ("1_000", 1000), ("_1", "_1"), ("0o", "0o"),
        ("1e3", 1000.0), (".5", 0.5), ("-x", "-x"), ("0xfffffffffffffffff", "0xfffffffffffffffff"),
        ("18446744073709551616", 18446744073709551616.0), ("!!int '7'", 7), ("\U0001f600", "\U0001f600"),
    ],
)  # fmt: skip
def test_plain_yaml_scalars_resolve_as_in_kubernetes(text: str, value: Any) -> None:
    found = yaml_bodies.of_yaml(f"a: {text}\n".encode()).object["a"]
    assert (found, type(found)) == (value, type(value))


def test_keys_become_strings() -> None:
    found = yaml_bodies.of_yaml(b"1: a\ntrue: b\n2026-02-02: c\n1.5: d\n")
    assert found.object == {"1": "a", "true": "b", "2026-02-02": "c", "1.5": "d"}


@pytest.mark.parametrize("kind", ["json", "yaml"])
@given(value=VALUES)
def test_any_json_value_round_trips(kind: str, value: Any) -> None:
    if kind == "json":
        assert json_bodies.of_json(json.dumps(value).encode()).object == value
    else:
        # Quoted as in JSON; plain scalars are tested above.
        assert yaml_bodies.of_yaml(b"- " + json.dumps(value, ensure_ascii=False).encode()).object == [value]


@given(raw=st.binary(max_size=200) | st.text("[]{}\"\\,:-?&*!|>%' \n\tab01.<~", max_size=60).map(str.encode))
def test_any_bytes_are_decoded_or_rejected(raw: bytes) -> None:
    for read in (json_bodies.of_json, yaml_bodies.of_yaml):
        try:
            found = read(raw)
        except (ValueError, yaml.YAMLError):
            continue
        json.dumps(found.object, allow_nan=False, ensure_ascii=False).encode()


def test_duplicate_fields_are_reported_with_their_paths() -> None:
    found = json_bodies.of_json(b'{"a":{"x":1,"x":2},"a":1,"b":[{"y":1},{"y":1,"y":2}]}')
    assert found.duplicates == ('duplicate field "a"', 'duplicate field "b[1].y"')
    assert yaml_bodies.of_yaml(b"a: 1\nb: {c: 1, c: 2}\n").duplicates == ('line 2: key "c" already set in map',)


@pytest.mark.parametrize(
    ("read", "raw"),
    [
        (json_bodies.of_json, b"{" + b",".join(b'"k%d":1' % (number // 2) for number in range(40_000)) + b"}"),
        (yaml_bodies.of_yaml, b"".join(b"k%d: 1\n" % (number // 2) for number in range(40_000))),
    ],
)
def test_the_number_of_reported_duplicates_is_bounded(read: Any, raw: bytes) -> None:
    found = read(raw)
    assert len(found.object) == 20_000
    assert len(found.duplicates) == json_bodies.DUPLICATES


@pytest.mark.parametrize(
    ("read", "raw"),
    [
        (json_bodies.of_json, b"[" * MEGABYTES),
        (json_bodies.of_json, b"[" + b"[]," * (MEGABYTES // 3)),
        (json_bodies.of_json, b"[" + b"{}," * (MEGABYTES // 3)),
        (json_bodies.of_json, b'"",' * (MEGABYTES // 3)),
        (json_bodies.of_json, b'{"a":' * 200 + b"1" + b"}" * 200),
        (yaml_bodies.of_yaml, b"- a\n" * (MEGABYTES // 4)),
        (yaml_bodies.of_yaml, b"- " * (MEGABYTES // 2)),
        (yaml_bodies.of_yaml, b"- ? a\n" * (MEGABYTES // 6)),
    ],
)
def test_too_many_values_or_levels_are_rejected_before_they_take_memory(read: Any, raw: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(bounds.ExceededError):
            read(raw)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "raw", [json.dumps({"a": "[{," * 100_000}).encode(), json.dumps({"a": '{"b":"c"}' * 50_000}).encode()]
)
def test_brackets_and_quotes_within_strings_are_not_counted(raw: bytes) -> None:
    assert len(json_bodies.of_json(raw).object["a"]) >= 300_000


def test_an_object_is_measured_without_recursion() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(bounds.ExceededError, match="levels deep"):
        bounds.check(deep)
    bounds.check([0] * (bounds.VALUES - 1))
    with pytest.raises(bounds.ExceededError, match="values"):
        bounds.check([0] * bounds.VALUES)
