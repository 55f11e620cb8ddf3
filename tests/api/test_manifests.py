"""What is applied to a cluster with ``kubectl apply -k``; tests/helm holds it against the chart."""

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
    """Everything that ``kubectl apply -k`` sends."""
    kubectl = Path(sys.executable).parent / "kubectl"
    done = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def test_the_kinds_and_the_namespace_are_part_of_it(documents: list[dict[str, Any]]) -> None:
    crds = [d["metadata"]["name"] for d in documents if d["kind"] == "CustomResourceDefinition"]
    assert crds == ["edgenodes.getedge.me", "runtimecommands.getedge.me", "runtimes.getedge.me"]
    assert [d["metadata"]["name"] for d in documents if d["kind"] == "Namespace"] == ["edge"]


def test_it_runs_the_link_and_an_agent_on_each_node(documents: list[dict[str, Any]]) -> None:
    workloads = [(d["kind"], d["metadata"]["name"]) for d in documents if d["kind"] in ("Deployment", "DaemonSet")]
    assert sorted(workloads) == [("DaemonSet", "edge-controller-node"), ("Deployment", "edge-controller")]


def test_nothing_in_it_claims_to_be_helms(documents: list[dict[str, Any]]) -> None:
    assert "Helm" not in yaml.safe_dump(documents)
    assert not any("helm.sh/hook" in (d["metadata"].get("annotations") or {}) for d in documents)


def test_every_account_that_is_bound_or_used_is_there(documents: list[dict[str, Any]]) -> None:
    made = {d["metadata"]["name"] for d in documents if d["kind"] == "ServiceAccount"}
    bound = {subject["name"] for d in documents for subject in d.get("subjects", [])}
    used = {d["spec"]["template"]["spec"]["serviceAccountName"] for d in documents if "template" in d.get("spec", {})}
    assert made == bound == used == {"edge-controller", "edge-controller-node"}
