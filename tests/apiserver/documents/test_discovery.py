"""Discovery: the plain and the aggregated documents name the same resources."""

from __future__ import annotations

from typing import Any

import pytest

from controller.apiserver.compat import cluster_kinds
from controller.apiserver.documents.discovery import Documents
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Registry
from controller.apiserver.objects import representation
from tests.conformance.conftest import DEFINITION

REGISTRY = Registry((*CORE, *cluster_kinds.resources()))
REGISTRY.define([DEFINITION])
DOCUMENTS = Documents(REGISTRY, ["/healthz"])


def document(*parts: str, aggregated: bool = False) -> dict[str, Any]:
    """The document at a path."""
    found = DOCUMENTS.find(list(parts), aggregated=aggregated)
    assert found is not None
    return found


def test_plain_and_aggregated_discovery_agree() -> None:
    plain = {(g["name"], v["version"]) for g in document("apis")["groups"] for v in g["versions"]}
    aggregated = {
        (item["metadata"]["name"], version["version"]): {resource["resource"] for resource in version["resources"]}
        for item in document("apis", aggregated=True)["items"]
        for version in item["versions"]
    }
    assert plain == aggregated.keys()
    for (group, version), resources in aggregated.items():
        listed = document("apis", group, version)["resources"]
        assert {entry["name"] for entry in listed if "/" not in entry["name"]} == resources


def test_a_resource_names_its_subresources() -> None:
    listed = {entry["name"]: entry for entry in document("api", "v1")["resources"]}
    assert listed["namespaces/finalize"]["verbs"] == ["update"]
    assert listed["pods"]["shortNames"] == ["po"]
    assert listed["pods"]["verbs"] == ["get", "list", "watch"]


def test_the_root_names_every_path() -> None:
    paths = document()["paths"]
    assert {"/api/v1", "/apis/test.getedge.me/v1", "/version", "/healthz", "/openapi/v2"} <= set(paths)
    assert paths == sorted(paths)


@pytest.mark.parametrize(
    "parts", [["api", "v2"], ["apis", "odd"], ["apis", "apps", "v9"], ["odd"], ["apis", "a", "b", "c"]]
)
def test_other_paths_have_no_document(parts: list[str]) -> None:
    assert DOCUMENTS.find(parts, aggregated=False) is None


V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "aggregated"),
    [
        (f"{V2},{V2.replace('v2', 'v2beta1')},application/json", True),
        (f"{V2.replace('v2', 'v2beta1')},application/json", False),
        (f"{V2.replace('v2', 'v2beta1')},{V2}", True),
        (f"application/json,{V2}", False),
        (f"application/json;q=0.5,{V2}", True),
        ("*/*", False),
        ("", False),
    ],
)
def test_discovery_is_aggregated_for_clients_that_prefer_version_2(accept: str, aggregated: bool) -> None:
    assert representation.prefers_aggregated(accept) == aggregated
