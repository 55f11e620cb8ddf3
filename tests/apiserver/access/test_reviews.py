"""Reviews of access and identity: any body is answered or refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.apiserver import failures
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Policy
from controller.apiserver.access.identities import Identity
from controller.apiserver.access.reviews import Reviews
from controller.apiserver.access.users import Users
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Registry
from tests.apiserver.bodies import mutated, unless_refused

VIEWER, ADMIN = Identity("viewer"), Identity("admin", ("system:masters",))
POLICY = Policy(Registry(CORE))
REVIEWS = Reviews(POLICY, Users({"secret": VIEWER}, POLICY, lambda: 0.0))
KINDS = (
    "selfsubjectreviews", "tokenreviews", "selfsubjectrulesreviews", "selfsubjectaccessreviews", "subjectaccessreviews",
    "localsubjectaccessreviews",
)  # fmt: skip
FULL = {
    "spec": {
        "user": "a", "groups": ["b"], "uid": "c", "token": "secret", "namespace": "edge", "extra": {"a": ["b"]},
        "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": "edge", "name": "one"},
        "nonResourceAttributes": None,
    },
}  # fmt: skip


def asked(kind: str, spec: Any, user: Identity = VIEWER) -> dict[str, Any]:
    """The status of a review."""
    attrs = Attributes("create", "", "authorization.k8s.io", "v1", kind, namespace="edge")
    found: dict[str, Any] = REVIEWS.answer(user, attrs, {"spec": spec})["status"]
    return found


@given(body=mutated(FULL), kind=st.sampled_from(KINDS))
def test_any_review_is_answered_or_refused(body: Any, kind: str) -> None:
    attrs = Attributes("create", "", "authorization.k8s.io", "v1", kind, namespace="edge")
    unless_refused(lambda: REVIEWS.answer(VIEWER, attrs, body))


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [("get", "configmaps", True), ("get", "secrets", False), ("delete", "configmaps", False)],
)
def test_own_access(verb: str, resource: str, allowed: bool) -> None:
    spec = {"resourceAttributes": {"verb": verb, "resource": resource, "namespace": "edge"}}
    assert asked("selfsubjectaccessreviews", spec)["allowed"] == allowed
    assert asked("selfsubjectaccessreviews", spec, ADMIN)["allowed"]
    assert asked("subjectaccessreviews", {**spec, "user": "viewer"}, ADMIN)["allowed"] == allowed


def test_access_to_paths() -> None:
    for path, allowed in (("/healthz", True), ("/odd", False)):
        spec = {"nonResourceAttributes": {"verb": "get", "path": path}, "user": "a", "groups": ["system:authenticated"]}
        assert asked("subjectaccessreviews", spec)["allowed"] == allowed


def test_identity_and_tokens() -> None:
    assert asked("selfsubjectreviews", {})["userInfo"]["username"] == "viewer"
    assert asked("tokenreviews", {"token": "secret"}) == {
        "authenticated": True, "user": {"username": "viewer", "groups": []},
    }  # fmt: skip
    assert "error" in asked("tokenreviews", {"token": "other"})


@pytest.mark.parametrize(
    ("kind", "spec", "code"),
    [
        ("tokenreviews", {}, 400), ("selfsubjectrulesreviews", {}, 400), ("selfsubjectaccessreviews", {}, 422),
        ("subjectaccessreviews", {"resourceAttributes": {"verb": "get"}}, 422), ("odd", {}, 404),
        ("tokenreviews", 1, 400),
        ("localsubjectaccessreviews", {"user": "a", "resourceAttributes": {"namespace": "other"}}, 422),
    ],
)  # fmt: skip
def test_incomplete_reviews_are_refused(kind: str, spec: Any, code: int) -> None:
    with pytest.raises(failures.Failure) as refused:
        asked(kind, spec)
    assert refused.value.code == code
