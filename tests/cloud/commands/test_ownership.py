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
INSTANCE: dict[str, Any] = {"labels": {"app.kubernetes.io/instance": "press-shop"}}
CHART = {"labels": {**HELM["labels"], "app.kubernetes.io/instance": "plant"}}
BY_LABEL = "the Argo CD Application press-shop (label app.kubernetes.io/instance)"


def written_by(*managers: str, operation: str = "Update", **metadata: Any) -> dict[str, Any]:
    """Metadata of a Runtime whose spec these managers wrote, one after the other."""
    entries = [
        {
            "manager": manager,
            "operation": operation,
            "time": f"2026-01-0{number}T00:00:00Z",
            "fieldsV1": {"f:spec": {}},
        }
        for number, manager in enumerate(managers, 1)
    ]
    kopf = {"manager": "kopf", "operation": "Update", "time": "2026-02-01T00:00:00Z", "fieldsV1": {}}
    return {**metadata, "managedFields": [*entries, kopf]}


TOOLS: list[tuple[dict[str, Any], str]] = [
    (HELM, "the Helm release plant"),
    ({"labels": HELM["labels"]}, "the Helm release"),
    ({"annotations": HELM["annotations"]}, "the Helm release plant"),
    (CHART, "the Helm release plant"),
    (written_by("helm"), "Helm"),
    (FLUX, "the Flux Kustomization line-a"),
    (FLUX_RELEASE, "the Flux HelmRelease plant-release"),
    (written_by("kustomize-controller", operation="Apply"), "Flux"),
    (ARGO, "the Argo CD Application press-shop"),
    ({"labels": {"argocd.argoproj.io/instance": "press-shop"}}, "the Argo CD Application press-shop"),
    (INSTANCE, BY_LABEL),
    (written_by("argocd-controller", **INSTANCE), BY_LABEL),
    (written_by("argocd-controller"), "Argo CD"),
    (written_by("kubectl", operation="Apply"), "kubectl"),
    (written_by("kubectl", operation="Apply", **INSTANCE), "kubectl"),
    (written_by("kubectl-client-side-apply"), "kubectl"),
    ({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}, "kubectl"),
    ({"labels": {"applyset.kubernetes.io/part-of": "applyset-x-v1"}}, "the ApplySet applyset-x-v1"),
    (written_by("edge-controller", "config-sync", operation="Apply"), "config-sync"),
    ({"labels": {names.MANAGED_LABEL: "pulumi"}}, "pulumi"),
]
PEOPLE: list[tuple[dict[str, Any], str]] = [
    (written_by("kubectl-edit", "edge-controller"), "kubectl"),
    (written_by("kubectl-create", "terraform"), "terraform"),
    ({}, "kubectl"),
]
OWNERS = [*TOOLS, *PEOPLE]
OF_CLOUD = {names.ORIGIN_LABEL: names.ORIGIN_CLOUD}
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
def test_who_manages_a_runtime_is_described(metadata: dict[str, Any], owner: str) -> None:
    assert ownership.owner(runtime(metadata)) == owner
    assert not ownership.is_managed_by_cloud(runtime(metadata))


@pytest.mark.parametrize("metadata", [metadata for metadata, _ in TOOLS])
def test_one_mark_of_a_tool_is_enough_to_take_a_runtime_over(metadata: dict[str, Any]) -> None:
    assert not ownership.is_managed_by_cloud(runtime(metadata, **OF_CLOUD))


@pytest.mark.parametrize("metadata", [metadata for metadata, _ in PEOPLE])
def test_an_edit_by_hand_takes_nothing_over(metadata: dict[str, Any]) -> None:
    assert ownership.is_managed_by_cloud(runtime(metadata, **OF_CLOUD))


@pytest.mark.parametrize(("topic", "fields"), CHANGES)
async def test_no_command_changes_a_foreign_runtime(
    harness: CommandHarness, operator: Operator, topic: str, fields: dict[str, Any]
) -> None:
    await harness.api.create(kinds.RUNTIMES, runtime(HELM))
    before = await harness.runtime("plc-1")
    answer = await harness.send(topic, **fields)
    expected = "edge/plc-1 is managed by the Helm release plant: change it there, not from the cloud"
    assert answer["error"] == expected
    assert (await harness.runtime("plc-1"))["spec"] == before["spec"]


@pytest.mark.parametrize("metadata", [HELM, written_by("kubectl", operation="Apply")])
async def test_a_runtime_taken_over_by_a_tool_outlives_the_orchestrator(
    harness: CommandHarness, operator: Operator, metadata: dict[str, Any]
) -> None:
    taken_over = runtime(metadata, **OF_CLOUD)
    await harness.api.create(kinds.RUNTIMES, taken_over)
    marks = taken_over["metadata"]
    await harness.api.edit(kinds.RUNTIMES, "plc-1", NAMESPACE, lambda body: body["metadata"].update(marks))
    assert "managed by" in (await harness.send("delete_device", device_id="plc-1"))["error"]
    await harness.send("delete_orchestrator")
    await harness.left.wait()
    assert (await harness.runtime("plc-1"))["metadata"]["name"] == "plc-1"


async def test_queries_about_a_foreign_runtime_are_answered(harness: CommandHarness, operator: Operator) -> None:
    await harness.api.create(kinds.RUNTIMES, runtime(HELM))
    assert "error" not in await harness.send("get_device_status", device_id="plc-1")
