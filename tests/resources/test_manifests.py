"""What is applied to a cluster: it renders as one, and gives the controller just what its client asks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import names

FOLDER = Path(__file__).parents[2] / "manifests" / "cluster"

# What the link, the operator and the reconciler do in a cluster.
NEEDED = [
    ("runtimes", {"get", "list", "watch", "create", "patch", "delete"}),
    ("runtimes/status", {"patch"}),
    ("runtimecommands", {"get", "list", "create", "delete"}),
    ("runtimecommands/status", {"patch"}),
    ("edgenodes", {"get", "create"}),
    ("edgenodes/status", {"patch"}),
]


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    """Everything that ``kubectl apply -k`` sends."""
    kubectl = Path(sys.executable).parent / "kubectl"
    done = subprocess.run([kubectl, "kustomize", FOLDER], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def test_the_crds_are_part_of_it(documents: list[dict[str, Any]]) -> None:
    crds = [d["metadata"]["name"] for d in documents if d["kind"] == "CustomResourceDefinition"]
    assert crds == ["edgenodes.getedge.me", "runtimecommands.getedge.me", "runtimes.getedge.me"]


@pytest.mark.parametrize(("resource", "verbs"), NEEDED)
def test_the_controller_may_do_what_it_does(documents: list[dict[str, Any]], resource: str, verbs: set[str]) -> None:
    assert verbs <= allowed(documents, names.GROUP, resource)


def test_the_controller_reads_secrets_only_beside_runtimes(documents: list[dict[str, Any]]) -> None:
    assert allowed(documents, "", "secrets") == set()
    role = next(d for d in documents if d["kind"] == "Role")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]


def test_no_role_has_a_wildcard(documents: list[dict[str, Any]]) -> None:
    rules = [rule for d in documents for rule in d.get("rules", [])]
    assert rules
    assert not any("*" in rule[part] for rule in rules for part in ("apiGroups", "resources", "verbs"))


def allowed(documents: list[dict[str, Any]], group: str, resource: str) -> set[str]:
    """The verbs that the controller's ClusterRole gives."""
    role = next(d for d in documents if d["kind"] == "ClusterRole" and d["metadata"]["name"] == "edge-controller")
    return {
        verb
        for rule in role["rules"]
        if group in rule["apiGroups"] and resource in rule["resources"]
        for verb in rule["verbs"]
    }
