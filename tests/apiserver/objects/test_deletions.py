"""Options of deletions and their effect on an object."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import failures
from controller.apiserver.kinds.core import CONFIG_MAPS
from controller.apiserver.objects import deletions
from controller.apiserver.objects.deletions import FOREGROUND, ORPHAN, Deletion
from tests.apiserver.bodies import TEXTS, VALUES, mutated, unless_refused

FULL = {
    "kind": "DeleteOptions", "propagationPolicy": "Foreground", "gracePeriodSeconds": 0, "dryRun": ["All"],
    "preconditions": {"uid": "1", "resourceVersion": "2"},
}  # fmt: skip
QUERIES = st.dictionaries(st.sampled_from(["propagationPolicy", "orphanDependents", "dryRun"]), TEXTS, max_size=3)
ITEM: dict[str, Any] = {"metadata": {"name": "one", "uid": "1", "resourceVersion": "2", "finalizers": ["a/b"]}}


@given(body=mutated(FULL) | VALUES, query=QUERIES)
def test_any_options_are_read_or_refused(body: Any, query: dict[str, str]) -> None:
    found = unless_refused(lambda: deletions.read(body, query))
    assert found is None or found.policy in (None, *deletions.POLICIES)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"propagationPolicy": []}, 400), ({"orphanDependents": "x"}, 400), ({"dryRun": "All"}, 400),
        ({"preconditions": {"uid": []}}, 400), ({"gracePeriodSeconds": "x"}, 400), ({"kind": "Status"}, 400),
        ({"propagationPolicy": "Sideways"}, 422), ({"dryRun": ["Some"]}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
    ],
)  # fmt: skip
def test_malformed_options_are_refused(body: Any, code: int) -> None:
    with pytest.raises(failures.Failure) as refused:
        deletions.read(body, {})
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        ({}, {}, Deletion()),
        ({}, {"propagationPolicy": "Orphan", "dryRun": "All"}, Deletion(policy="Orphan", dry=True)),
        ({}, {"orphanDependents": "true"}, Deletion(policy="Orphan")),
        ({"orphanDependents": False}, {"propagationPolicy": "Orphan"}, Deletion(policy="Background")),
        (FULL, {}, Deletion("1", "2", "Foreground", True)),
    ],
)
def test_options_of_body_or_query(body: Any, query: dict[str, str], expected: Deletion) -> None:
    assert deletions.read(body, query) == expected


def test_preconditions_that_do_not_hold_are_refused() -> None:
    deletions.check(CONFIG_MAPS, ITEM, Deletion("1", "2"))
    for wrong in (Deletion("2"), Deletion("1", "1")):
        with pytest.raises(failures.Failure) as refused:
            deletions.check(CONFIG_MAPS, ITEM, wrong)
        assert refused.value.code == 409


@pytest.mark.parametrize(
    ("before", "policy", "after"),
    [
        (["a/b"], None, ["a/b"]), (["a/b", ORPHAN], None, ["a/b", ORPHAN]), (["a/b"], "Orphan", ["a/b", ORPHAN]),
        ([ORPHAN], "Foreground", [FOREGROUND]), ([FOREGROUND], "Foreground", [FOREGROUND]),
        ([ORPHAN], "Background", []),
    ],
)  # fmt: skip
def test_the_policy_decides_on_finalizers(before: list[str], policy: str | None, after: list[str]) -> None:
    item = {"metadata": {"name": "one", "finalizers": before}}
    made = deletions.mark_deleted(CONFIG_MAPS, item, Deletion(policy=policy))["metadata"]
    assert made.get("finalizers", []) == after
    assert made["deletionTimestamp"]


def test_a_second_deletion_keeps_the_time_of_the_first() -> None:
    first = deletions.mark_deleted(CONFIG_MAPS, {"metadata": {**ITEM["metadata"], "generation": 1}}, Deletion())
    assert first["metadata"]["generation"] == 2
    assert deletions.mark_deleted(CONFIG_MAPS, first, Deletion()) == first
