"""Compares the chart's permissions with the API servers' audit log: all were used, and no others were requested.

Runs last (conftest.py): the audit log is of all tests before it, whose processes had exactly these permissions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster import nodes
from tests.cluster.control_plane import ControlPlane
from tests.support.edge_cluster import ACCOUNT, BOTH_ACCOUNT, NODE_ACCOUNT, rights

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LEADER_ROLES = (f"{ACCOUNT}-link", f"{ACCOUNT}-pods")
NODE_ROLES = (f"{ACCOUNT}-node", f"{ACCOUNT}-node-runtimes")


class Right(NamedTuple):
    """A verb on a resource (``pods``, ``pods/resize``) of a group."""

    group: str
    resource: str
    verb: str


# Not used in tests: nodes of 0.1 need the first three to authorize their callers; commands are deleted after a day.
UNUSED_IN_TESTS = {
    Right("getedge.me", "edgenodes/proxy", "create"),
    Right("authentication.k8s.io", "tokenreviews", "create"),
    Right("authorization.k8s.io", "subjectaccessreviews", "create"),
    Right("getedge.me", "runtimecommands", "delete"),
}


@pytest.fixture
def audited(cluster: nodes.Cluster, control_plane: ControlPlane) -> list[dict[str, Any]]:
    """The audit events of our accounts."""
    events = [event for log in (cluster.control_plane.audit, control_plane.audit) for event in _events(log)]
    return [event for event in events if _account(event).startswith(ACCOUNT)]


def _events(log: Path) -> Iterator[dict[str, Any]]:
    if log.exists():
        yield from map(json.loads, log.read_text().splitlines())


def _account(event: dict[str, Any]) -> str:
    name: str = event["user"]["username"].rpartition(":")[2]
    return name


def given(roles: Iterable[str]) -> set[Right]:
    """The permissions in the roles of these names, namespaced or not."""
    found = [each for each in rights() if each["kind"].endswith("Role") and each["metadata"]["name"] in roles]
    return {
        Right(group, resource, verb)
        for role in found
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(audited: Iterable[dict[str, Any]], accounts: Iterable[str]) -> set[Right]:
    """The permissions that the accounts used."""
    return {
        Right(target.get("apiGroup", ""), _resource(target), event["verb"])
        for event in audited
        if _account(event) in accounts and event["annotations"]["authorization.k8s.io/decision"] == "allow"
        if (target := event.get("objectRef"))
    }


def _resource(target: dict[str, Any]) -> str:
    return "/".join(filter(None, (target["resource"], target.get("subresource"))))


@pytest.mark.parametrize(
    ("roles", "accounts"),
    [(LEADER_ROLES, (ACCOUNT, BOTH_ACCOUNT)), (NODE_ROLES, (NODE_ACCOUNT, BOTH_ACCOUNT))],
    ids=["leader", "node"],
)
def test_every_permission_is_used(audited: list[dict[str, Any]], roles: Iterable[str], accounts: Iterable[str]) -> None:
    unused = given(roles) - used(audited, accounts) - UNUSED_IN_TESTS
    assert not unused, f"remove these permissions, or test what needs them: {sorted(unused)}"


def test_no_request_is_forbidden(audited: list[dict[str, Any]]) -> None:
    refused = {
        (_account(event), event["verb"], event["requestURI"])
        for event in audited
        if event["annotations"]["authorization.k8s.io/decision"] != "allow" and not _of_release(event)
    }
    assert audited
    assert refused == set()


def _of_release(event: dict[str, Any]) -> bool:
    """Whether it is of a release's pod: helm deletes the permissions before the pods have exited."""
    return "authentication.kubernetes.io/pod-name" in (event["user"].get("extra") or {})


@pytest.mark.parametrize(("account", "roles"), [(ACCOUNT, LEADER_ROLES), (NODE_ACCOUNT, NODE_ROLES)])
def test_an_account_has_no_other_permissions(cluster: nodes.Cluster, account: str, roles: Iterable[str]) -> None:
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}}, *rights())
    listed = cluster.kubectl(
        "auth", "can-i", "--list", "--namespace=edge", f"--as=system:serviceaccount:edge:{account}"
    )
    assert may(listed) - may(cluster.kubectl("auth", "can-i", "--list", "--namespace=edge", "--as=nobody")) == given(
        roles
    )


def may(listed: str) -> set[Right]:
    """The permissions that ``kubectl auth can-i --list`` prints: columns of resource.group, URLs, names and verbs."""
    rows = [re.match(r"(\S+)\s+\[.*?\]\s+\[.*?\]\s+\[(.*?)\]", line) for line in listed.splitlines()[1:]]
    return {Right(*_named(row[1]), verb) for row in rows if row for verb in row[2].split()}


def _named(resource: str) -> tuple[str, str]:
    """Group and resource of a name such as ``statefulsets.apps`` or ``runtimes.getedge.me/status``."""
    whole, _, subresource = resource.partition("/")
    name, _, group = whole.partition(".")
    return group, "/".join(filter(None, (name, subresource)))
