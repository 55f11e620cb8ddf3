"""The rights of the users of the embedded API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
import yaml

from controller.apiserver.access import pki
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Policy, Rule
from controller.apiserver.access.identities import AUTHENTICATED, Identity
from controller.apiserver.access.kubeconfig_issuer import KubeconfigIssuer
from controller.apiserver.kinds.resources import Registry
from controller.apiserver.server import ApiServer
from controller.machinery.connection_limits import ConnectionLimits
from tests.apiserver.conftest import CONFIG_MAP, CONFIG_MAPS, Clock, issued, kubectl, session_of, status

MANIFESTS = Path(__file__).parents[3] / "manifests" / "cluster"


async def test_a_viewer_reads_all_but_secrets_and_writes_nothing(
    server: ApiServer, tmp_path: Path, clock: Clock
) -> None:
    async with issued(tmp_path, "viewer", 3600, clock) as viewer:
        for path in ("/api/v1/nodes", CONFIG_MAPS, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"):
            assert await status(viewer, "GET", path) == 200
        for path in ("/api/v1/secrets", "/api/v1/namespaces/edge/secrets/one", "/api/v1/secrets?watch=true"):
            assert await status(viewer, "GET", path) == 403
        assert await status(viewer, "POST", CONFIG_MAPS, CONFIG_MAP) == 403
        assert await status(viewer, "DELETE", CONFIG_MAPS) == 403
        assert await status(viewer, "POST", "/transaction", {"writes": []}) == 403
        assert await status(viewer, "GET", "/backup") == 403
        assert await status(viewer, "GET", "/metrics") == 403


async def test_a_connection_is_marked_once_its_user_is_authenticated(
    server: ApiServer, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[str] = []
    monkeypatch.setattr(ConnectionLimits, "mark_authenticated", lambda _, connection, user: known.append(user))
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/healthz", ssl=False) as answer:
        assert answer.status == 200
    assert known == []
    async with issued(tmp_path, "viewer", 3600, clock) as viewer:
        assert await status(viewer, "GET", "/api/v1/secrets") == 403
    assert known == ["viewer"]


async def test_the_rules_of_a_viewer_are_listed_without_secrets(
    server: ApiServer, tmp_path: Path, clock: Clock
) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    question = {"spec": {"namespace": "edge"}}
    async with issued(tmp_path, "viewer", 3600, clock) as viewer, viewer.post(path, json=question) as answer:
        rules = (await answer.json())["status"]["resourceRules"]
    core = next(rule for rule in rules if rule["apiGroups"] == [""])
    assert "configmaps" in core["resources"]
    assert "secrets" not in core["resources"]
    assert not any("*" in rule["apiGroups"] for rule in rules)


async def test_an_admin_may_do_everything(server: ApiServer, tmp_path: Path, clock: Clock) -> None:
    async with issued(tmp_path, "admin", 60, clock) as admin:
        assert await status(admin, "POST", CONFIG_MAPS, CONFIG_MAP) == 201
        assert await status(admin, "GET", "/api/v1/secrets") == 200


async def test_what_is_for_our_own_user_is_unknown_over_tls(server: ApiServer, tmp_path: Path, clock: Clock) -> None:
    async with issued(tmp_path, "admin", 60, clock) as admin:
        assert await status(admin, "GET", "/backup") == 404
        assert await status(admin, "POST", "/transaction", {"writes": []}) == 405


async def test_a_user_without_rules_may_only_discover(
    server: ApiServer, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pki.KUBECONFIG_USERS, "mallory", "")
    async with issued(tmp_path, "mallory", 60, clock) as mallory:
        assert await status(mallory, "GET", "/apis") == 200
        for path in ("/api/v1/nodes", CONFIG_MAPS, "/metrics"):
            assert await status(mallory, "GET", path) == 403


async def test_kubectl_lists_the_rights_of_a_viewer(server: ApiServer, tmp_path: Path) -> None:
    made = await asyncio.to_thread(KubeconfigIssuer(tmp_path, tmp_path / "kubeconfig").make, "viewer", 60.0)
    await asyncio.to_thread((tmp_path / "viewer").write_text, yaml.safe_dump(made))
    listed = await kubectl(tmp_path / "viewer", "auth", "can-i", "--list")
    assert "configmaps" in listed
    assert "secrets" not in listed


def rules_of_the_cluster() -> set[tuple[str, str, str]]:
    """Verb, group and resource of all rights of the controller's roles in a cluster."""
    rendered = yaml.safe_load_all((MANIFESTS / "edge-controller.yaml").read_text())
    documents = [each for each in rendered if "people" not in each["metadata"]["name"]]
    rules = [rule for document in documents for rule in document.get("rules", ())]
    return {(v, g, r) for rule in rules for v in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]}


def test_the_controller_has_the_rights_of_a_cluster_and_may_write_the_node_and_read_secrets() -> None:
    resources, _ = Policy(Registry(())).review(Identity("controller"))
    found = {
        (v, g, r) for rule in resources for v in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]
    }
    assert len(found) > 15
    # In a cluster the chart names the Secrets that may be read, none by default.
    more = {("create", "", "nodes"), ("patch", "", "nodes/status"), ("get", "", "secrets")}
    assert found - more <= rules_of_the_cluster()


def test_a_rule_for_a_resource_does_not_cover_its_subresources() -> None:
    rule = Rule(("get",), ("g",), ("things",))
    wanted = Attributes("get", "", "g", "v1", "things")
    assert rule.allows(wanted)
    assert not rule.allows(wanted._replace(subresource="status"))
    assert not rule.allows(wanted._replace(verb="list"))
    assert not rule.allows(wanted._replace(group=""))
    assert not rule.allows(Attributes("get", "/things"))


async def test_a_token_review_accepts_the_controllers_token(server: ApiServer) -> None:
    token = (await asyncio.to_thread(server.credentials, "controller")).token
    async with session_of(server, "admin") as admin:
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        async with admin.post(path, json={"spec": {"token": token}}) as answer:
            found = (await answer.json())["status"]
    assert found == {"authenticated": True, "user": {"username": "controller", "groups": [AUTHENTICATED]}}
