"""Interpretation of a pod's status, with real messages of kubelets and the scheduler."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api import reasons
from controller.backends.pods import readings
from controller.backends.pods.readings import Pod

DIGEST = f"sha256:{'1' * 64}"


def pod(*, terminating: bool = False, conditions: list[dict[str, Any]] | None = None, **container: Any) -> Pod:
    status = {"containerStatuses": [container] if container else [], "conditions": conditions or []}
    metadata = {"name": "plc1-0", "uid": "1", **({"deletionTimestamp": "now"} if terminating else {})}
    spec = {"nodeName": "node1", "containers": [{"image": "ghcr.io/a/b:9"}]}
    return Pod({"metadata": metadata, "spec": spec, "status": status})


RUNNING: dict[str, Any] = {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
ENDED = {"exitCode": 3, "reason": "Error", "finishedAt": "2026-01-01T00:01:00Z"}
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (pod(), "starting"),
        (pod(state={"waiting": {"reason": "ContainerCreating"}}), "starting"),
        (pod(**RUNNING), "running"),
        (pod(terminating=True, **RUNNING), "removing"),
        (pod(state={"waiting": BACK_OFF}, lastState={"terminated": ENDED}, restartCount=2), "restarting"),
        (pod(state={"terminated": ENDED}), "restarting"),
    ],
    ids=["no container yet", "being created", "running", "terminating", "waiting after a crash", "just exited"],
)
def test_the_state_is_that_of_the_program(seen: Pod, state: str) -> None:
    assert readings.program(seen).state == state


def test_an_exit_is_reported_with_its_code_and_oom() -> None:
    seen = readings.program(pod(**RUNNING, lastState={"terminated": {**ENDED, "reason": "OOMKilled"}}, restartCount=1))

    assert (seen.exit_code, seen.oom_killed, seen.restart_count) == (3, True, 1)
    assert seen.finished_at == ENDED["finishedAt"]


def waiting(reason: str, message: str = "") -> Pod:
    return pod(state={"waiting": {"reason": reason, "message": message}})


def unscheduled(message: str) -> Pod:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(conditions=[condition])


NOT_FOUND = 'failed to pull and unpack image "ghcr.io/a/b:9": failed to resolve reference "ghcr.io/a/b:9": not found'
DENIED = "failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"
NO_ROUTE = 'failed to do request: Head "https://ghcr.io/v2/a/b": dial tcp: lookup ghcr.io: no such host'


@pytest.mark.parametrize(
    ("seen", "kind", "reason"),
    [
        (waiting("ErrImagePull", NOT_FOUND), "stalled", reasons.IMAGE_NOT_FOUND),
        (waiting("ErrImagePull", DENIED), "stalled", reasons.IMAGE_REFUSED),
        (waiting("ErrImagePull", NO_ROUTE), "retry", reasons.IMAGE_PULL_FAILED),
        (waiting("ImagePullBackOff", 'Back-off pulling image "ghcr.io/a/b:9"'), "retry", reasons.IMAGE_PULL_FAILED),
        (waiting("InvalidImageName", "couldn't parse image name"), "stalled", reasons.SPEC_IMPOSSIBLE),
        (waiting("ErrImageNeverPull", "is not present with pull policy of Never"), "stalled", reasons.IMAGE_NOT_FOUND),
        (waiting("CreateContainerConfigError", 'secret "plc" not found'), "waiting", reasons.SECRET_MISSING),
        (
            waiting("CreateContainerConfigError", "couldn't find key a in Secret edge/plc"),
            "waiting",
            reasons.SECRET_MISSING,
        ),
        (waiting("CreateContainerError", "no command specified"), "stalled", reasons.SPEC_IMPOSSIBLE),
        (unscheduled("0/2 nodes are available: 2 Insufficient memory."), "waiting", reasons.UNSCHEDULABLE),
        (waiting("ContainerCreating"), "waiting", reasons.PROGRESSING),
    ],
)
def test_a_blocker_has_a_reason_and_a_message(seen: Pod, kind: str, reason: str) -> None:
    found = readings.blocker(seen, ())

    assert (found.kind, found.reason) == (kind, reason)
    assert found.message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('plugin type="macvlan" failed (add): failed to lookup master "eth9": Link not found', reasons.PARENT_MISSING),
        ("error dialing DHCP daemon: dial unix /run/cni/dhcp.sock: connect: no such file", reasons.MULTUS_MISSING),
        ("some trouble of its own", reasons.PROGRESSING),
    ],
    ids=["no such interface on the node", "no DHCP daemon on the node", "another"],
)
def test_a_pod_without_a_sandbox_is_explained_by_its_newest_warning(message: str, reason: str) -> None:
    older = {"type": "Warning", "reason": "FailedMount", "message": "old", "lastTimestamp": "2026-01-01T00:00:00Z"}
    newest = {**older, "reason": "FailedCreatePodSandBox", "message": message, "lastTimestamp": "2026-01-02T00:00:00Z"}

    found = readings.blocker(waiting("ContainerCreating"), [newest, older, {"type": "Normal"}])

    assert found.reason == reason
    assert message in found.message


@pytest.mark.parametrize(
    ("reference", "image_id", "expected"),
    [
        ("ghcr.io/a/b:1", f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
        ("a/b:1", f"docker.io/a/b@{DIGEST}", f"a/b@{DIGEST}"),
        ("host:5000/a/b:1", f"host:5000/a/b@{DIGEST}", f"host:5000/a/b@{DIGEST}"),
        ("localhost/b:1", DIGEST, "localhost/b:1"),
        ("ghcr.io/a/b:1", "", "ghcr.io/a/b:1"),
    ],
    ids=["from a registry", "with the default registry", "with a port", "only on the node", "not pulled yet"],
)
def test_the_pin_is_pullable_on_another_node(reference: str, image_id: str, expected: str) -> None:
    assert readings.pin(reference, image_id) == expected


@pytest.mark.parametrize(
    "seen",
    [waiting("ContainerCreating"), waiting("ErrImagePull", DENIED), waiting("ErrImagePull", NOT_FOUND)],
    ids=["being pulled", "refused", "named by the kubelet"],
)
def test_a_blocker_about_an_image_names_it_once(seen: Pod) -> None:
    message = readings.blocker(seen, ()).message
    assert "ghcr.io/a/b:9" in message
    assert not message.startswith("ghcr.io/a/b:9: ErrImagePull: failed to pull and unpack image")
