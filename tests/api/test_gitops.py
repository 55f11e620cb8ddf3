"""The examples for Flux and Argo CD; Argo CD's health script for Runtimes runs here in Lua 5.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from controller import names

GITOPS = Path(__file__).parents[2] / "manifests/gitops"
KEY = f"resource.customizations.health.{names.GROUP}_Runtime"


def condition(kind: str, status: str, reason: str = "Because", message: str = "") -> dict[str, str]:
    """Return one condition."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


READY = condition("Ready", "True", "Running", "runs")
HEALTH: list[tuple[str, list[dict[str, str]], dict[str, Any], str, str]] = [
    ("running", [READY], {}, "Healthy", "runs"),
    ("stopped", [condition("Ready", "True", "Stopped", "stopped")], {}, "Suspended", "stopped"),
    ("stalled", [condition("Ready", "False"), condition("Stalled", "True", "ImageNotFound", "no image")], {},
     "Degraded", "no image"),
    ("waiting", [condition("Ready", "False"), condition("Reconciling", "True", "ParentInterfaceMissing", "no eth1")],
     {}, "Progressing", "no eth1"),
    ("node away", [condition("Ready", "Unknown", "NodeAway", "n1 is silent")], {}, "Unknown", "n1 is silent"),
    ("status of an older spec", [READY], {"generation": 2}, "Progressing", "the controller has not processed it yet"),
    ("no conditions", [], {"generation": 0}, "Progressing", "waiting for the controller"),
    ("deleting", [READY], {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "Progressing",
     "the container is being removed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("conditions", "metadata", "health", "message"), [case[1:] for case in HEALTH], ids=[case[0] for case in HEALTH]
)
def test_argo_cd_derives_the_health_from_the_conditions(
    conditions: list[dict[str, str]], metadata: dict[str, Any], health: str, message: str
) -> None:
    runtime = {
        "metadata": {"generation": 1, **metadata},
        "status": {"observedGeneration": min(1, metadata.get("generation", 1)), "conditions": conditions},
    }
    assert argo_cd(runtime) == {"status": health, "message": message}


def test_a_runtime_without_a_status_is_in_progress() -> None:
    assert argo_cd({"metadata": {"generation": 1}})["status"] == "Progressing"


@pytest.mark.parametrize("file", sorted(GITOPS.glob("*/*.yaml")), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_example_is_a_list_of_namespaced_objects(file: Path) -> None:
    documents = list(yaml.safe_load_all(file.read_text()))
    assert documents
    for document in documents:
        assert {"apiVersion", "kind"} <= set(document)
        assert document["metadata"]["namespace"] in ("flux-system", "argocd")


def argo_cd(runtime: dict[str, Any]) -> dict[str, str]:
    """Run the health script as Argo CD does: the object is the global ``obj``, the result is a table."""
    lua = LuaRuntime()
    script = yaml.safe_load((GITOPS / "argocd/health.yaml").read_text())["data"][KEY]
    lua.globals()["obj"] = lua.table_from(runtime, recursive=True)
    return dict(lua.execute(script))
