"""The cloud's commands refuse to change Runtimes of Helm, Flux, Argo CD or a person, and name the owner."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from controller import names
from controller.api import kinds
from controller.cloud.commands import ownership
from tests.support.command_harness import NAMESPACE, CommandHarness, Operator, vnic

HELM = {"labels": {names.MANAGED_LABEL: "Helm"}, "annotations": {"meta.helm.sh/release-name": "plant"}}
FLUX = {"labels": {"kustomize.toolkit.fluxcd.io/name": "line-a"}}
FLUX_RELEASE = {
    "labels": {**HELM["labels"], "helm.toolkit.fluxcd.io/name": "plant-release"},
    "annotations": HELM["annotations"],
}
ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "press-shop:getedge.me/Runtime:edge/plc-1"}}


def written_by(*managers: str) -> dict[str, Any]:
    """Metadata of a Runtime whose spec these managers wrote, one after the other."""
    entries = [
        {"manager": manager, "time": f"2026-01-0{number}T00:00:00Z", "fieldsV1": {"f:spec": {}}}
        for number, manager in enumerate(managers, 1)
    ]
    return {"managedFields": [*entries, {"manager": "kopf", "time": "2026-02-01T00:00:00Z", "fieldsV1": {}}]}


OWNERS: list[tuple[dict[str, Any], str]] = [
    (HELM, "the Helm release plant"),
    (FLUX, "the Flux Kustomization line-a"),
    (FLUX_RELEASE, "the Flux HelmRelease plant-release"),
    (ARGO, "the Argo CD Application press-shop"),
    (written_by("kubectl-client-side-apply"), "kubectl"),
    (written_by("kubectl-edit", "edge-controller"), "kubectl"),
    (written_by("kubectl-create", "terraform"), "terraform"),
    ({}, "kubectl"),
]
TOOLS = OWNERS[:4]
CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("create_new_runtime", {"container_name": "plc-1", "vnic_configs": [vnic()]}),
    ("delete_device", {"device_id": "plc-1"}),
    ("start_device", {"device_id": "plc-1"}),
    ("stop_device", {"device_id": "plc-1"}),
    ("restart_device", {"device_id": "plc-1"}),
]


def runtime(metadata: dict[str, Any], **labels: str) -> dict[str, Any]:
    """A Runtime plc-1 with that metadata."""
    whole = {"name": "plc-1", "namespace": NAMESPACE, **copy.deepcopy(metadata)}
    whole["labels"] = {**whole.get("labels", {}), **labels}
    return {"metadata": whole, "spec": {"deviceId": "plc-1", "image": "registry.test/other"}}


@pytest.mark.parametrize(("metadata", "owner"), OWNERS)
@pytest.mark.parametrize(("topic", "fields"), CHANGES)
async def test_no_command_changes_a_foreign_runtime(
    harness: CommandHarness,
    operator: Operator,
    metadata: dict[str, Any],
    owner: str,
    topic: str,
    fields: dict[str, Any],
) -> None:
    await harness.api.create(kinds.RUNTIMES, runtime(metadata))
    if "managedFields" in metadata:
        await harness.api.edit(kinds.RUNTIMES, "plc-1", NAMESPACE, lambda body: body["metadata"].update(metadata))
    before = await harness.runtime("plc-1")
    answer = await harness.send(topic, **fields)
    assert answer["error"] == f"edge/plc-1 is managed by {owner}: change it there, not from the cloud"
    assert (await harness.runtime("plc-1"))["spec"] == before["spec"]


@pytest.mark.parametrize(("metadata", "owner"), TOOLS)
async def test_a_runtime_taken_over_by_a_tool_belongs_to_the_tool(
    harness: CommandHarness, operator: Operator, metadata: dict[str, Any], owner: str
) -> None:
    await harness.api.create(kinds.RUNTIMES, runtime(metadata, **{names.ORIGIN_LABEL: names.ORIGIN_CLOUD}))
    assert owner in (await harness.send("delete_device", device_id="plc-1"))["error"]
    await harness.send("delete_orchestrator")
    await harness.left.wait()
    assert (await harness.runtime("plc-1"))["metadata"]["name"] == "plc-1"


@pytest.mark.parametrize("metadata", [{}, {"annotations": {"meta.helm.sh/release-name": "plant"}}])
def test_an_incomplete_mark_of_a_tool_is_not_ownership(metadata: dict[str, Any]) -> None:
    assert ownership.is_managed_by_cloud(runtime(metadata, **{names.ORIGIN_LABEL: names.ORIGIN_CLOUD}))
    assert not ownership.is_managed_by_cloud(runtime(metadata))


async def test_queries_about_a_foreign_runtime_are_answered(harness: CommandHarness, operator: Operator) -> None:
    await harness.api.create(kinds.RUNTIMES, runtime(HELM))
    assert "error" not in await harness.send("get_device_status", device_id="plc-1")
