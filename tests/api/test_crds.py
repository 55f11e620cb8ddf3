"""The CustomResourceDefinitions: structural, bounded, documented, and in step with crds/ and the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api import crds, packaged_crds
from controller.api.runtimes import RuntimeSpec

ROOT = Path(__file__).parents[2]
MANIFESTS = {manifest["metadata"]["name"]: manifest for manifest in crds.manifests()}
Node = dict[str, Any]


def schemas(manifest: Node) -> Iterator[tuple[str, Node]]:
    """Yield every schema node of a CRD with its path."""
    yield from _below("", manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def _below(path: str, node: Node) -> Iterator[tuple[str, Node]]:
    yield path, node
    for name, part in node.get("properties", {}).items():
        yield from _below(f"{path}.{name}", part)
    if "items" in node:
        yield from _below(f"{path}[]", node["items"])


NODES = [
    pytest.param(path, node, id=f"{name.partition('.')[0]}{path}")
    for name, manifest in MANIFESTS.items()
    for path, node in schemas(manifest)
    if path not in (".apiVersion", ".kind", ".metadata")
]


@pytest.mark.parametrize("folder", ["crds", "helm/edge-controller/files/crds"])
def test_the_crds_in_the_repository_match_the_models(folder: str) -> None:
    written = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / folder).glob("*.getedge.me.yaml")}
    assert written == MANIFESTS, "run `make crds`"


def test_the_service_applies_what_the_models_say() -> None:
    assert packaged_crds.manifests() == crds.manifests(), "run `make crds`"


@pytest.mark.parametrize(("path", "node"), NODES)
def test_every_schema_node_is_structural_and_bounded(path: str, node: Node) -> None:
    assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}
    assert not {"$ref", "anyOf", "allOf", "oneOf", "title", "const", "nullable"} & set(node)
    assert node.get("default", "") is not None
    if node["type"] == "string":
        assert "maxLength" in node or "enum" in node
    if node["type"] == "array":
        assert "maxItems" in node
        assert node["x-kubernetes-list-type"] in {"map", "set", "atomic"}
    if node.get("x-kubernetes-list-type") == "map":
        assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"])
    if "required" in node:
        with_default = {name for name, part in node["properties"].items() if "default" in part}
        assert not with_default & set(node["required"])


def test_kubectl_explain_describes_every_field() -> None:
    fields = [
        (f"{name.partition('.')[0]}{path}", node)
        for name, manifest in MANIFESTS.items()
        for path, node in schemas(manifest)
        if path != ".metadata" and not path.endswith("[]")
    ]
    assert len(fields) > 150
    assert [path for path, node in fields if not node.get("description", "").endswith(".")] == []


def test_the_defaults_of_the_schema_are_those_of_the_model() -> None:
    minimal = {"deviceId": "plc-1", "image": "runtime"}
    spec = MANIFESTS["runtimes.getedge.me"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    defaults = {name: part["default"] for name, part in spec["properties"].items() if "default" in part}
    assert defaults
    assert RuntimeSpec.model_validate({**minimal, **defaults}) == RuntimeSpec.model_validate(minimal)


@pytest.mark.parametrize(("name", "short"), [("runtimes", "rt"), ("edgenodes", "en"), ("runtimecommands", "rtc")])
def test_a_kind_has_its_short_name_category_and_status_subresource(name: str, short: str) -> None:
    spec = MANIFESTS[f"{name}.getedge.me"]["spec"]
    assert spec["names"]["shortNames"] == [short]
    assert spec["names"]["categories"] == ["edge"]
    assert spec["versions"][0]["subresources"] == {"status": {}}


def test_the_server_can_select_runtimes_by_node_backend_and_device() -> None:
    fields = MANIFESTS["runtimes.getedge.me"]["spec"]["versions"][0]["selectableFields"]
    assert {field["jsonPath"] for field in fields} == {".spec.nodeName", ".spec.backend", ".spec.deviceId"}


def test_every_rule_has_a_short_message() -> None:
    rules = [
        rule
        for manifest in MANIFESTS.values()
        for _, node in schemas(manifest)
        for rule in node.get("x-kubernetes-validations", [])
    ]
    assert len(rules) >= 6
    assert all(rule["rule"] and 0 < len(rule["message"]) <= 80 for rule in rules)


@pytest.mark.parametrize("kind", ["runtimes", "edgenodes"])
def test_the_message_shown_is_that_of_the_readiness_shown(kind: str) -> None:
    shown = MANIFESTS[f"{kind}.getedge.me"]["spec"]["versions"][0]["additionalPrinterColumns"]
    paths = {column["name"]: column["jsonPath"] for column in shown}
    assert paths["Message"].removesuffix("message") == paths["Ready"].removesuffix("status")
