"""The manifests for ``kubectl apply -k``; tests/helm compares them with the chart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "manifests" / "cluster"


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    """Return every object that ``kubectl apply -k`` would send."""
    kubectl = Path(sys.executable).parent / "kubectl"
    result = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(result.stdout))


def test_the_manifests_contain_the_crds_and_the_namespace(documents: list[dict[str, Any]]) -> None:
    crds = [d["metadata"]["name"] for d in documents if d["kind"] == "CustomResourceDefinition"]
    assert crds == ["edgenodes.getedge.me", "runtimecommands.getedge.me", "runtimes.getedge.me"]
    assert [d["metadata"]["name"] for d in documents if d["kind"] == "Namespace"] == ["edge"]


def test_the_manifests_run_the_controller_and_an_agent_on_each_node(documents: list[dict[str, Any]]) -> None:
    workloads = [(d["kind"], d["metadata"]["name"]) for d in documents if d["kind"] in ("Deployment", "DaemonSet")]
    assert sorted(workloads) == [("DaemonSet", "edge-controller-node"), ("Deployment", "edge-controller")]


def test_the_manifests_do_not_mention_helm(documents: list[dict[str, Any]]) -> None:
    assert "Helm" not in yaml.safe_dump(documents)
    assert not any("helm.sh/hook" in (d["metadata"].get("annotations") or {}) for d in documents)


def test_every_service_account_is_created_bound_and_used(documents: list[dict[str, Any]]) -> None:
    created = {d["metadata"]["name"] for d in documents if d["kind"] == "ServiceAccount"}
    bound = {subject["name"] for d in documents for subject in d.get("subjects", [])}
    used = {d["spec"]["template"]["spec"]["serviceAccountName"] for d in documents if "template" in d.get("spec", {})}
    assert created == bound == used == {"edge-controller", "edge-controller-node"}
