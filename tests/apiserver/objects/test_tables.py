"""Cells of tables, and the forms that clients ask for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import failures
from controller.apiserver.kinds.core import CONFIG_MAPS, CORE, SERVICES
from controller.apiserver.objects import representation, tables
from controller.apiserver.objects.representation import JSON, YAML, Form
from tests.apiserver.bodies import VALUES, unless_refused

ITEM = {"a": {"b.c": 1, "k.io/n": 3, "d-e": [{"type": "x", "v": 1}, {"type": "y", "v": 2}, 5]}, "n": None}
PATHS = st.lists(st.sampled_from([".a", ".b", "[0]", "[*]", "['b.c']", '[?(@.type=="x")]', "..", "[", "\\.", "[-1]"]))
MEDIA = st.sampled_from(
    [JSON, YAML, "*/*", "application/*", "text/plain", ";q=0", ";q=nan", ";q=x", ";as=Table", ";v=v1", ","]
)
TABLE = f"{JSON};as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a['b.c']", [1]), (r".a.b\.c", [1]), (r".a.k\.io/n", [3]), (".a.d-e[1].v", [2]), (".a.d-e[*].v", [1, 2]),
        (".n", [None]), ('.a.d-e[?(@.type=="y")].v', [2]), (".a.d-e[9]", []), (".a.none", []),
        (".a.d-e[999999999]", []),
    ],
)  # fmt: skip
def test_json_paths(path: str, found: list[Any]) -> None:
    assert tables.read(ITEM, path) == found


@given(item=VALUES, path=PATHS.map("".join) | st.text(max_size=8))
def test_any_path_selects_something_or_nothing(item: Any, path: str) -> None:
    assert isinstance(tables.read(item, path), list)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (301, "5m1s"), (600, "10m"), (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"),
        (8 * 3600 + 60, "8h"), (50 * 3600, "2d2h"), (8 * 86400, "8d"), (2 * 365 * 86400, "2y"),
    ],
)  # fmt: skip
def test_durations(seconds: int, shown: str) -> None:
    assert tables.duration(seconds) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", "<unknown>"), ("x", "<invalid>"), ("2026-01-01T00:00:00", "<invalid>"), ("9999-01-01T00:00:00Z", "0s")],
)
def test_ages_of_odd_times(text: str, shown: str) -> None:
    assert tables.age(text) == shown


@given(item=st.dictionaries(st.sampled_from(["data", "spec", "status", "type"]), st.just({}) | st.none()))
def test_every_kind_has_a_cell_for_each_column(item: dict[str, Any]) -> None:
    for kind in (kind for kind in CORE if kind is not SERVICES):  # no client can write a Service
        whole = {"metadata": {"name": "one", "creationTimestamp": "2026-01-01T00:00:00Z"}, **item}
        assert len(tables.cells(kind, whole)) == len(tables.columns(kind))


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form(JSON)), ("*/*", Form(JSON)), ("text/html, application/yaml", Form(YAML)),
        ("application/json;q=0.5, application/yaml", Form(YAML)), (f"{TABLE}, {JSON}", Form(JSON, "Table")),
        (f"{JSON};as=Table;v=v9;g=meta.k8s.io, {JSON}", Form(JSON)),
        ("application/vnd.kubernetes.protobuf", Form(JSON)),
        (f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1", Form(JSON, "PartialObjectMetadata", "v1beta1")),
    ],
)  # fmt: skip
def test_the_preferred_form_is_chosen(accept: str, form: Form) -> None:
    assert representation.negotiate(accept) == form


@given(accept=st.lists(MEDIA, max_size=6).map("".join) | st.text(max_size=20))
def test_any_accept_header_is_negotiated_or_refused(accept: str) -> None:
    unless_refused(lambda: representation.negotiate(accept))
    unless_refused(lambda: representation.negotiate(accept, streaming=True))


def test_what_rows_include_of_the_object() -> None:
    item = {"metadata": {"name": "one"}, "data": {"a": "b"}}
    for include, expected in (("None", None), ("Object", item), ("Metadata", {"metadata": item["metadata"]})):
        made = representation.negotiate(TABLE, include).of_object(CONFIG_MAPS, item)
        row = made["rows"][0]["object"]
        assert row == expected or (expected is not None and expected.items() <= row.items())
    with pytest.raises(failures.Failure, match="includeObject"):
        representation.negotiate(TABLE, "Nothing")


def test_a_list_is_no_object_and_an_object_no_list() -> None:
    with pytest.raises(failures.Failure, match="is a list"):
        Form(kind=representation.PARTIAL).of_list(CONFIG_MAPS, [], {})
    with pytest.raises(failures.Failure, match="is not a list"):
        Form(kind=representation.PARTIAL_LIST).of_object(CONFIG_MAPS, {"metadata": {}})
