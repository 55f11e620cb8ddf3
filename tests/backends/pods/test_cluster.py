"""Behaviour of the pods backend beyond the contract of all backends, on a real cluster."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Target
from controller.backends.observation import Observed
from controller.backends.pods import manifests, naming
from controller.backends.pods.readings import Pod
from controller.backends.pods.workloads import Workloads
from controller.machinery import kinds as core_kinds
from controller.runtimes import plan
from controller.runtimes.desired import Desired
from tests.backends.conftest import BackendHarness

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

LAN = {"name": "lan0", "parentInterface": "eth1"}
PORT = {"name": "drive", "deviceId": "usb-1", "containerPath": "/dev/drive"}
IMPOSSIBLE = [
    ({"serialPorts": [PORT]}, reasons.DEVICES_UNSUPPORTED),
    ({"dedicatedInterface": "eth5"}, reasons.SPEC_IMPOSSIBLE),
]
IMPOSSIBLE_IDS = ["serial devices", "a dedicated interface"]


@pytest.fixture
def harness(pods_harness: BackendHarness) -> BackendHarness:
    """The pods backend."""
    return pods_harness


@pytest.fixture
def workloads(harness: BackendHarness) -> Workloads:
    """The backend's access to its objects."""
    found: Workloads = harness.backend._workloads
    return found


async def pod_of(workloads: Workloads, target: Target) -> Pod:
    pod = await workloads.pod(target.identity)
    assert pod is not None
    return pod


async def image_in_template(workloads: Workloads, target: Target) -> str:
    found = await workloads.require(target.identity)
    image: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


async def test_pinning_an_image_restarts_no_pod(harness: BackendHarness, workloads: Workloads) -> None:
    target = await harness.up(harness.target())
    pod, pin = await pod_of(workloads, target), f"{harness.image}@sha256:{'1' * 64}"

    await harness.run(dataclasses.replace(target, image=pin), base.Step.PIN_IMAGE)

    assert await image_in_template(workloads, target) == pin
    assert (await pod_of(workloads, target)).uid == pod.uid
    assert (await harness.backend.observe(target)).running


@pytest.mark.parametrize(
    ("spec", "reason"),
    [({"interfaces": [LAN]}, reasons.MULTUS_MISSING), *IMPOSSIBLE],
    ids=["interfaces without Multus", *IMPOSSIBLE_IDS],
)
async def test_unsupported_features_are_refused_and_leave_nothing_behind(
    harness: BackendHarness, spec: dict[str, Any], reason: str
) -> None:
    target = harness.target(**spec)
    with pytest.raises(errors.Stalled) as refused:
        await harness.run(target, base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER)

    assert refused.value.reason == reason
    assert await harness.backend.observe(target) == Observed()


@pytest.mark.parametrize(("spec", "reason"), IMPOSSIBLE, ids=IMPOSSIBLE_IDS)
async def test_a_running_pod_keeps_running_when_its_spec_gets_unsupported_features(
    harness: BackendHarness, spec: dict[str, Any], reason: str
) -> None:
    target = await harness.up(harness.target())
    asked = dataclasses.replace(target, generation=2, spec=harness.target(**spec).spec)
    desired = Desired(asked, applied_generation=1, image_source=asked.spec.image_reference, in_place=False)

    made = plan.make(desired, await harness.backend.observe(asked))

    assert made.steps == ()
    assert (made.outcome.kind, made.outcome.reason) == ("stalled", reason)


async def test_realtime_is_granted_as_capabilities_with_a_warning(
    harness: BackendHarness, workloads: Workloads
) -> None:
    target = await harness.up(harness.target(realtime={"enabled": True}))

    (warning,) = (await harness.backend.observe(target)).warnings
    granted = (await pod_of(workloads, target)).container["securityContext"]

    assert warning[0] == reasons.REALTIME_BY_CAPABILITIES
    assert granted["capabilities"] == {"add": ["IPC_LOCK", "SYS_NICE"]}
    assert not granted.get("privileged")


async def test_another_control_port_changes_the_service_and_restarts_no_pod(
    harness: BackendHarness, workloads: Workloads
) -> None:
    target = await harness.up(harness.target())
    pod = await pod_of(workloads, target)
    moved = dataclasses.replace(target, spec=harness.target(controlPort={"port": 9000}).spec)

    before = await harness.backend.observe(moved)
    await harness.run(moved, base.Step.REPAIR_NETWORKS)

    service = await workloads.find(core_kinds.SERVICES, target.identity)
    assert (before.network.internal_attached, (await harness.backend.observe(moved)).network.internal_attached) == (
        False,
        True,
    )
    assert service is not None
    assert [port["port"] for port in service["spec"]["ports"]] == [9000]
    assert (await pod_of(workloads, target)).uid == pod.uid


async def test_changes_without_a_restart_apply_from_the_next_one(harness: BackendHarness, workloads: Workloads) -> None:
    target = await harness.up(harness.target())
    fields = harness.target(controlPort={"port": 9000}, terminationGracePeriodSeconds=2).spec

    await harness.run(dataclasses.replace(target, spec=fields), base.Step.RESTART_CONTAINER)
    pod = await pod_of(workloads, target)

    assert pod.container["readinessProbe"]["tcpSocket"]["port"] == 9000
    assert pod.body["spec"]["terminationGracePeriodSeconds"] == 2


async def test_an_unavailable_image_blocks_a_first_start(harness: BackendHarness) -> None:
    target = await harness.create_and_start(harness.target(version="none", imagePullPolicy="Never"))

    observed = await harness.blocked(target, reasons.IMAGE_NOT_FOUND)

    assert observed.state == "starting"
    assert observed.blocker is not None
    assert observed.blocker.kind == "stalled"


async def test_an_unavailable_image_leaves_a_running_pod_alone(harness: BackendHarness, workloads: Workloads) -> None:
    target = await harness.up(harness.target(imagePullPolicy="Never"))
    pod = await pod_of(workloads, target)

    with pytest.raises(errors.Stalled) as refused:
        await harness.run(harness.target(version="none", imagePullPolicy="Never"), base.Step.RESOLVE_IMAGE)

    assert refused.value.reason == reasons.IMAGE_NOT_FOUND
    assert (await pod_of(workloads, target)).uid == pod.uid


@pytest.mark.parametrize("pod_is_gone", [False, True], ids=["before the old pod ends", "after the old pod has ended"])
async def test_an_interrupted_replacement_is_finished(
    harness: BackendHarness, workloads: Workloads, pod_is_gone: bool
) -> None:
    target = await harness.up(harness.target())
    pod, fields = await pod_of(workloads, target), harness.target(version="2")
    made = manifests.template(fields, fields.spec.image_reference)
    await workloads.set_template(target.identity, made, f"{pod.uid}/{pod.revision}")
    if pod_is_gone:
        await workloads.delete(core_kinds.PODS, target.identity, naming.pod(target.identity), uid=pod.uid)

    broken_off = await harness.backend.observe(fields)
    await harness.run(fields, base.Step.FINISH_REPLACEMENT)
    observed = await harness.settled(fields)

    assert broken_off.predecessor
    assert (observed.running, observed.predecessor) == (True, "")
    assert observed.made_from == fields.spec


async def test_a_pod_that_never_ran_is_replaced_by_a_corrected_spec(harness: BackendHarness) -> None:
    target = await harness.create_and_start(harness.target(version="none", imagePullPolicy="Never"))
    await harness.blocked(target, reasons.IMAGE_NOT_FOUND)

    corrected = await harness.run(harness.target(), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    assert (await harness.settled(corrected)).running


@pytest.mark.parametrize("kind", [core_kinds.SERVICES, core_kinds.STATEFUL_SETS], ids=lambda kind: kind.kind)
async def test_foreign_objects_are_not_touched(harness: BackendHarness, workloads: Workloads, kind: Any) -> None:
    target = harness.target()
    name, labels = naming.workload(target.identity), {"app": "somebody-elses"}
    spec = {
        core_kinds.SERVICES: {"ports": [{"port": 80}], "selector": labels},
        core_kinds.STATEFUL_SETS: {
            "replicas": 0,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
        },
    }[kind]
    api = harness.backend._api
    theirs = await api.create(kind, {"metadata": {"name": name, "namespace": "edge"}, "spec": spec})
    try:
        observed = await harness.backend.observe(target)
        with pytest.raises(errors.Stalled) as refused:
            await harness.run(target, base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER)
        kept = await api.get(kind, name, "edge")
    finally:
        await api.delete(kind, name, "edge")

    assert kind.kind in observed.foreign
    assert refused.value.reason == reasons.NAME_TAKEN
    assert kept["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert kept["spec"] == theirs["spec"]


async def test_volumes_survive_delete_and_create(harness: BackendHarness, workloads: Workloads) -> None:
    volumes = [{"name": "data", "mountPath": "/data"}, {"name": "cache", "mountPath": "/c", "reclaimPolicy": "Delete"}]
    target = await harness.up(harness.target(volumes=volumes))

    await harness.down(target)

    claims = await workloads.of_runtime(core_kinds.PERSISTENT_VOLUME_CLAIMS, target.identity)
    left = [claim["metadata"]["name"] for claim in claims if not claim["metadata"].get("deletionTimestamp")]
    assert left == [naming.claim(target.identity, "data")]
