"""Options of lists, watches and writes: any query is read or refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import failures
from controller.apiserver.objects import request_options
from controller.apiserver.objects.request_options import Continue, WriteOptions
from tests.apiserver.bodies import VALUES, unless_refused

SAMPLES = st.sampled_from(["", "0", "1", "-1", "9" * 30, "٣", "²", "Exact", "NotOlderThan", "true", "All", "x" * 200])
PARAMETERS = st.sampled_from(
    ["limit", "continue", "resourceVersion", "resourceVersionMatch", "timeoutSeconds", "sendInitialEvents",
     "allowWatchBookmarks", "dryRun", "fieldManager", "fieldValidation", "force"]
)  # fmt: skip
TOKENS = VALUES.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode())
QUERIES = st.dictionaries(PARAMETERS, SAMPLES | TOKENS | st.text(max_size=5), max_size=4)


@given(query=QUERIES)
def test_any_query_is_read_or_refused(query: dict[str, str]) -> None:
    unless_refused(lambda: request_options.of_list(query))
    unless_refused(lambda: request_options.of_watch(query))
    unless_refused(lambda: request_options.of_write(query, "agent/1"))


@given(revision=st.integers(-1, 1 << 40), namespace=st.text(max_size=3), name=st.text(max_size=3))
def test_a_continue_token_is_read_again(revision: int, namespace: str, name: str) -> None:
    start = Continue(revision, namespace, name)
    assert request_options.of_list({"continue": start.encode()}).start == start


@pytest.mark.parametrize(
    "value", [1, [], [1, 2, 3], ["1", "a", "b"], [True, "a", "b"], [1 << 63, "a", "b"], [-2, "", ""]]
)
def test_a_forged_continue_token_is_refused(value: Any) -> None:
    token = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    with pytest.raises(failures.Failure, match="continue key is not valid"):
        request_options.of_list({"continue": token})


@pytest.mark.parametrize("text", ["x", "-", "1.5", "٣", "²", "9" * 30])
def test_only_ascii_digits_are_numbers(text: str) -> None:
    for name in ("resourceVersion", "limit", "timeoutSeconds"):
        with pytest.raises(failures.Failure, match="Invalid value"):
            request_options.of_list({name: text})


@pytest.mark.parametrize(
    ("query", "at", "least", "limit"),
    [
        ({}, 0, 0, 0), ({"resourceVersion": "5"}, 0, 5, 0), ({"resourceVersion": "5", "limit": "2"}, 5, 0, 2),
        ({"resourceVersion": "0", "limit": "2"}, 0, 0, 0), ({"limit": "-1"}, 0, 0, 0),
        ({"resourceVersion": "5", "limit": "2", "resourceVersionMatch": "NotOlderThan"}, 0, 5, 2),
        ({"resourceVersion": "5", "resourceVersionMatch": "Exact"}, 5, 0, 0),
    ],
)  # fmt: skip
def test_the_revision_of_a_list(query: dict[str, str], at: int, least: int, limit: int) -> None:
    found = request_options.of_list(query)
    assert (found.at, found.least, found.limit) == (at, least, limit)


@pytest.mark.parametrize(
    ("query", "agent", "manager"),
    [
        ({}, "kubectl/v1 (linux)", "kubectl"), ({}, "", "unknown"), ({"fieldManager": "me"}, "kubectl/v1", "me"),
        ({}, "x" * 300, "x" * request_options.MANAGER_LENGTH), ({}, "a\x00b/1", "ab"),
    ],
)  # fmt: skip
def test_the_field_manager(query: dict[str, str], agent: str, manager: str) -> None:
    assert request_options.of_write(query, agent) == WriteOptions(manager)


@pytest.mark.parametrize(
    "query", [{"dryRun": "Some"}, {"fieldValidation": "x"}, {"fieldManager": "x" * 129}, {"fieldManager": "\x07"}]
)
def test_invalid_write_options_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(failures.Failure):
        request_options.of_write(query, "")
