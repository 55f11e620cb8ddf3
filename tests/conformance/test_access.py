"""Authorization: permissions, denials and access reviews. Other users are tested by impersonation."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
import yaml

from tests.conformance.conftest import Api, Session
from tests.conformance.test_clients import PATH

Http = tuple[aiohttp.ClientSession, str]
BOB = {"Impersonate-User": "bob"}
ACCESS = "/apis/authorization.k8s.io/v1"
WHO = "/apis/authentication.k8s.io/v1"
CREATE_WIDGETS = {"verb": "create", "group": "test.getedge.me", "resource": "widgets", "namespace": "edge"}


@pytest.fixture
async def admin(api: Api) -> AsyncIterator[Http]:
    """An administrator's session."""
    async with Session(api) as http:
        yield http


@pytest.fixture
async def anonymous(api: Api) -> AsyncIterator[Http]:
    """A session without any credentials."""
    cluster = yaml.safe_load(api.kubeconfig.read_text())["clusters"][0]["cluster"]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield session, cluster["server"]


async def ask(
    http: Http, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and body of a request."""
    kind = {} if body is None or method != "PATCH" else {"Content-Type": "application/merge-patch+json"}
    async with http[0].request(method, http[1] + path, json=body, headers={**(headers or {}), **kind}) as answer:
        return answer.status, await answer.json(content_type=None)


async def allowed(http: Http, headers: Mapping[str, str] | None = None, /, **attributes: str) -> bool:
    """The result of a SelfSubjectAccessReview."""
    body = {"spec": {"resourceAttributes": attributes}}
    status, found = await ask(http, "POST", f"{ACCESS}/selfsubjectaccessreviews", body, headers)
    assert status == 201, found
    return bool(found["status"]["allowed"])


@pytest.mark.parametrize(("path", "status"), [("/readyz", 200), ("/livez", 200), ("/healthz", 200), ("/version", 200)])
async def test_health_checks_need_no_credentials(anonymous: Http, path: str, status: int) -> None:
    async with anonymous[0].get(anonymous[1] + path) as answer:
        assert answer.status == status


@pytest.mark.parametrize("path", ["/", "/api", "/apis", "/openapi/v2", PATH, "/api/v1/namespaces/default"])
async def test_everything_else_needs_credentials(anonymous: Http, path: str) -> None:
    status, found = await ask(anonymous, "GET", path)
    assert (status, found["reason"]) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot' in found["message"]


async def test_invalid_credentials_are_not_treated_as_anonymous(anonymous: Http) -> None:
    status, found = await ask(anonymous, "GET", "/readyz", headers={"Authorization": "Bearer wrong"})
    assert (status, found["reason"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("method", "path", "what", "desired"),
    [
        ("GET", "/api/v1/secrets?watch=1", "secrets", 'watch resource "secrets" in API group "" at the cluster scope'),
        (
            "GET",
            "/api/v1/namespaces/x/secrets",
            "secrets",
            'list resource "secrets" in API group "" in the namespace "x"',
        ),
        (
            "PATCH",
            f"{PATH}/one/status",
            'widgets.test.getedge.me "one"',
            'patch resource "widgets/status" in API group "test.getedge.me" in the namespace "edge"',
        ),
        (
            "DELETE",
            PATH,
            "widgets.test.getedge.me",
            'deletecollection resource "widgets" in API group "test.getedge.me" in the namespace "edge"',
        ),
        (
            "DELETE",
            "/api/v1/namespaces/x",
            'namespaces "x"',
            'delete resource "namespaces" in API group "" in the namespace "x"',
        ),
    ],
)
async def test_a_denial_names_user_verb_and_resource(
    admin: Http, method: str, path: str, what: str, desired: str
) -> None:
    status, found = await ask(admin, method, path, {} if method == "PATCH" else None, BOB)
    assert (status, found["reason"]) == (403, "Forbidden")
    assert found["message"] == f'{what} is forbidden: User "bob" cannot {desired}'


async def test_a_denial_of_a_non_resource_path(admin: Http) -> None:
    status, found = await ask(admin, "GET", "/metrics", headers=BOB)
    assert (status, found["message"]) == (403, 'forbidden: User "bob" cannot get path "/metrics"')


async def test_the_details_of_a_denial_name_the_object(admin: Http) -> None:
    _, found = await ask(admin, "GET", f"{PATH}/one", headers=BOB)
    assert found["details"] == {"name": "one", "group": "test.getedge.me", "kind": "widgets"}


async def test_a_user_without_permissions_can_use_discovery(admin: Http) -> None:
    for path in ("/api", "/apis", "/openapi/v3", "/version"):
        assert (await ask(admin, "GET", path, headers=BOB))[0] == 200


async def test_whoami(admin: Http) -> None:
    _, found = await ask(admin, "POST", f"{WHO}/selfsubjectreviews", {})
    user = found["status"]["userInfo"]
    assert (user["username"], user["groups"]) == ("admin", ["system:masters", "system:authenticated"])
    _, found = await ask(admin, "POST", f"{WHO}/selfsubjectreviews", {}, {**BOB, "Impersonate-Group": "plc"})
    assert found["status"]["userInfo"] == {"username": "bob", "groups": ["plc", "system:authenticated"]}


async def test_kubectl_auth(api: Api) -> None:
    assert "admin" in await api.kubectl("auth", "whoami")
    assert (await api.kubectl("auth", "can-i", "delete", "widgets", "-n", "edge")).strip().endswith("yes")
    refused = await api.kubectl("auth", "can-i", "delete", "widgets", "-n", "edge", "--as=bob", fails=True)
    assert refused.strip().endswith("no")
    assert "selfsubjectaccessreviews" in await api.kubectl("auth", "can-i", "--list", "--as=bob", "-n", "edge")
    printed = await api.kubectl("get", "widgets", "-n", "edge", "--as=bob", fails=True)
    assert 'User "bob" cannot list resource "widgets"' in printed


async def test_a_self_review_only_covers_the_requesting_user(admin: Http) -> None:
    assert await allowed(admin, **CREATE_WIDGETS)
    assert not await allowed(admin, BOB, **CREATE_WIDGETS)


async def test_a_review_of_a_path(admin: Http) -> None:
    for path, expected in (("/api", True), ("/metrics", False)):
        _, found = await ask(admin, "POST", f"{ACCESS}/selfsubjectaccessreviews", review_of(path), BOB)
        assert found["status"]["allowed"] is expected


async def test_an_authorized_user_can_review_other_users(admin: Http) -> None:
    path = f"{ACCESS}/subjectaccessreviews"
    spec = {"resourceAttributes": CREATE_WIDGETS, "user": "bob"}
    assert (await ask(admin, "POST", path, {"spec": spec}))[1]["status"]["allowed"] is False
    spec |= {"groups": ["system:masters"]}
    assert (await ask(admin, "POST", path, {"spec": spec}))[1]["status"]["allowed"] is True
    assert (await ask(admin, "POST", path, {"spec": spec}, BOB))[0] == 403


async def test_a_local_review_is_limited_to_its_namespace(admin: Http) -> None:
    path = f"{ACCESS}/namespaces/edge/localsubjectaccessreviews"
    spec = {"resourceAttributes": CREATE_WIDGETS, "user": "bob"}
    status, found = await ask(admin, "POST", path, {"spec": spec})
    assert (status, found["metadata"]["namespace"], found["status"]["allowed"]) == (201, "edge", False)
    spec = {"resourceAttributes": {**CREATE_WIDGETS, "namespace": "default"}, "user": "bob"}
    status, found = await ask(admin, "POST", path, {"spec": spec})
    assert (status, found["details"]["causes"][0]["field"]) == (422, "spec.resourceAttributes.namespace")


@pytest.mark.parametrize(
    ("kind", "spec", "fields"),
    [
        ("selfsubjectaccessreviews", {}, ["spec.resourceAttributes"]),
        (
            "selfsubjectaccessreviews",
            {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/"}},
            ["spec.nonResourceAttributes"],
        ),
        ("subjectaccessreviews", {}, ["spec.resourceAttributes", "spec.user"]),
    ],
)
async def test_a_review_without_attributes_is_invalid(
    admin: Http, kind: str, spec: dict[str, Any], fields: list[str]
) -> None:
    status, found = await ask(admin, "POST", f"{ACCESS}/{kind}", {"spec": spec})
    assert (status, [cause["field"] for cause in found["details"]["causes"]]) == (422, fields)


async def test_the_rules_of_a_user(admin: Http) -> None:
    path = f"{ACCESS}/selfsubjectrulesreviews"
    _, found = await ask(admin, "POST", path, {"spec": {"namespace": "edge"}})
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    assert everything in found["status"]["resourceRules"]
    _, found = await ask(admin, "POST", path, {"spec": {"namespace": "edge"}}, BOB)
    assert everything not in found["status"]["resourceRules"]
    assert any("/apis" in rule["nonResourceURLs"] for rule in found["status"]["nonResourceRules"])
    status, found = await ask(admin, "POST", path, {"spec": {}})
    assert (status, found["reason"]) == (400, "BadRequest")


async def test_an_invalid_token_is_not_authenticated(admin: Http) -> None:
    _, found = await ask(admin, "POST", f"{WHO}/tokenreviews", {"spec": {"token": "none"}})
    assert found["status"] == {"user": {}, "error": "invalid bearer token"}
    assert (await ask(admin, "POST", f"{WHO}/tokenreviews", {}))[0] == 400


async def test_impersonation_needs_permission(admin: Http, anonymous: Http) -> None:
    status, found = await ask(anonymous, "GET", "/api", headers={"Impersonate-User": "admin"})
    assert status == 403
    assert 'cannot impersonate resource "users"' in found["message"]


async def test_groups_cannot_be_impersonated_without_a_user(admin: Http) -> None:
    status, found = await ask(admin, "GET", "/api", headers={"Impersonate-Group": "system:masters"})
    assert (status, found["reason"]) == (400, "BadRequest")


@pytest.mark.differs(
    "Impersonation supports users and groups; a uid or extra attributes are refused with 400",
    "authorization does not use them, and silently ignoring them would suggest that they have an effect",
)
async def test_a_uid_cannot_be_impersonated(api: Api, admin: Http) -> None:
    assert (await ask(admin, "GET", "/api", headers={**BOB, "Impersonate-Uid": "1"}))[0] == (
        400 if api.embedded else 200
    )


@pytest.mark.differs(
    "Roles and bindings are read-only; the permissions of `admin`, `controller` and `viewer` are fixed in the code",
    "a host has only these users, and fixed permissions rule out escalation (docs/decisions/070-access.md)",
)
async def test_roles(api: Api, admin: Http) -> None:
    role = {"metadata": {"name": "suite"}, "rules": []}
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/edge/roles"
    status, _ = await ask(admin, "POST", f"{path}?dryRun=All", role)
    assert status == (405 if api.embedded else 201)


async def test_reviews_are_not_stored(admin: Http) -> None:
    status, found = await ask(admin, "GET", f"{ACCESS}/selfsubjectaccessreviews")
    assert (status, found["reason"]) == (405, "MethodNotAllowed")


async def test_a_review_is_never_a_table(admin: Http) -> None:
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    status, found = await ask(admin, "POST", f"{ACCESS}/selfsubjectaccessreviews", review_of("/"), table)
    assert (status, found["reason"]) == (406, "NotAcceptable")
    _, found = await ask(admin, "POST", f"{ACCESS}/selfsubjectaccessreviews", review_of("/"))
    assert found["status"]["allowed"] is True


def review_of(path: str) -> dict[str, Any]:
    """An access review for reading a path."""
    return {"spec": {"nonResourceAttributes": {"verb": "get", "path": path}}}
