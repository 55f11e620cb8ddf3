"""Interprets a pod's status (API reference: core/v1 PodStatus): its state, and why it does not run yet. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.api import reasons
from controller.backends import meanings
from controller.backends.meanings import CHECK_IMAGE, PULLS, Meaning
from controller.backends.observation import Blocker

_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
STARTING, REMOVING = "starting", "removing"


MEANINGS = (
    # The specific texts first: a kubelet puts ErrImagePull in front of whatever the registry said.
    *PULLS,
    Meaning(r"InvalidImageName|couldn't parse image", reasons.SPEC_IMPOSSIBLE, CHECK_IMAGE),
    Meaning(r"ErrImageNeverPull|pull.*not found", reasons.IMAGE_NOT_FOUND, CHECK_IMAGE),
    Meaning(r"ErrImagePull|ImagePullBackOff", reasons.IMAGE_PULL_FAILED, "retrying"),
    Meaning(r"no space left on device", reasons.DISK_FULL, "free space on the node's disk"),
    Meaning(
        r"failed to lookup master|Link not found", reasons.PARENT_MISSING, "continues when the node has the interface"
    ),
    Meaning(
        r"dhcp.sock",
        reasons.MULTUS_MISSING,
        "run the CNI DHCP daemon on the node (manifests.dhcpDaemonSet=true of rke2-charts/rke2-multus)",
    ),
    Meaning(r"Unschedulable", reasons.UNSCHEDULABLE, "continues when a node fits"),
    Meaning(
        r"CreateContainerConfigError:.*\bsecret\b",
        reasons.SECRET_MISSING,
        "create the Secret or key that spec.env names",
    ),
    Meaning(
        r"CreateContainerConfigError|CreateContainerError|RunContainerError|executable file not found",
        reasons.SPEC_IMPOSSIBLE,
        "correct the spec",
    ),
)
_OTHERWISE = Meaning("", reasons.PROGRESSING, "")
_OF_IMAGES = (reasons.IMAGE_REFUSED, reasons.IMAGE_NOT_FOUND, reasons.IMAGE_PULL_FAILED, reasons.SPEC_IMPOSSIBLE)


@dataclass(frozen=True)
class Pod:
    """A runtime's pod as the API returns it."""

    body: Mapping[str, Any]

    @property
    def uid(self) -> str:
        """Distinguishes pods with the same name."""
        return str(self.body["metadata"]["uid"])

    @property
    def annotations(self) -> Mapping[str, str]:
        """What it was created from, and the status from Multus."""
        return self.body["metadata"].get("annotations") or {}

    @property
    def revision(self) -> str:
        """The ControllerRevision with the template it was created from."""
        return str((self.body["metadata"].get("labels") or {}).get("controller-revision-hash", ""))

    @property
    def node(self) -> str:
        """Its node, "" before it is scheduled."""
        return str(self.body["spec"].get("nodeName") or "")

    @property
    def container(self) -> Mapping[str, Any]:
        """The container of the spec."""
        found: Mapping[str, Any] = self.body["spec"]["containers"][0]
        return found

    @property
    def container_id(self) -> str:
        """The id of the running container in the node's container runtime, "" for none (see ContainerStatus)."""
        status: Mapping[str, Any] = next(iter(self.status.get("containerStatuses") or ()), {})
        runs = "running" in (status.get("state") or {})
        return str(status.get("containerID") or "").partition("://")[2] if runs else ""

    @property
    def status(self) -> Mapping[str, Any]:
        """The whole status."""
        return self.body.get("status") or {}

    @property
    def terminating(self) -> bool:
        """Whether it is being deleted."""
        return bool(self.body["metadata"].get("deletionTimestamp"))

    @property
    def ready(self) -> bool:
        """Whether its readiness probe passes."""
        return self.condition("Ready").get("status") == "True"

    @property
    def ended(self) -> bool:
        """Whether it will not run again (API reference: PodPhase)."""
        return self.status.get("phase") in ("Failed", "Succeeded")

    @property
    def end_message(self) -> str:
        """Why the kubelet rejected or evicted it, "" when its program ended by itself."""
        reason, message = str(self.status.get("reason") or ""), str(self.status.get("message") or "")
        return meanings.shortened(f"{reason}: {message}" if message else reason)

    def condition(self, kind: str) -> Mapping[str, Any]:
        """The pod's condition of this type, {} without one."""
        return next((one for one in self.status.get("conditions") or () if one.get("type") == kind), {})


@dataclass(frozen=True)
class Program:
    """The state of the program in a pod; ``state`` is one of Docker's, or "starting"."""

    state: str
    started_at: str = ""
    finished_at: str = ""
    exit_code: int | None = None
    oom_killed: bool = False
    restart_count: int = 0
    image_id: str = ""
    waiting: Mapping[str, Any] = field(default_factory=dict)


def program(pod: Pod) -> Program:
    """The state of the pod's program."""
    status: Mapping[str, Any] = next(iter(pod.status.get("containerStatuses") or ()), {})
    state = status.get("state") or {}
    # While a program waits for its restart, its last exit is only in lastState.
    end = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    facts: dict[str, Any] = {
        "started_at": (state.get("running") or {}).get("startedAt", ""),
        "finished_at": end.get("finishedAt") or "",
        "exit_code": end.get("exitCode"),
        "oom_killed": end.get("reason") == "OOMKilled",
        "restart_count": int(status.get("restartCount") or 0),
        "image_id": status.get("imageID") or "",
        "waiting": state.get("waiting") or {},
    }
    # Also while its program still runs: a pod that is being deleted must not count as running.
    if pod.terminating:
        return Program(REMOVING, **facts)
    if "running" in state:
        return Program("running", **facts)
    return Program("restarting" if end else STARTING, **facts)


def blocker(pod: Pod, events: Sequence[Mapping[str, Any]]) -> Blocker:
    """Why a starting pod does not run yet: from its status, else from its newest warning event."""
    source = _status_message(pod) or _newest_warning(events)
    meaning = meanings.find(MEANINGS, source, _OTHERWISE)
    text = meanings.shortened(source) or _stage(pod)
    image = str(pod.container.get("image"))
    if meaning.reason in _OF_IMAGES and image not in text:
        text = f"{image}: {text}"
    return Blocker(meaning.reason, f"{text}; {meaning.remedy}" if meaning.remedy else text)


def pin(reference: str, image_id: str) -> str:
    """The running image in a form that can be pulled; the reference itself if the node has no digest for it."""
    repository = reference.partition("@")[0]
    # Only in the last part: a colon before it belongs to the registry's port.
    repository = repository.rpartition(":")[0] if ":" in repository.rpartition("/")[2] else repository
    found = _DIGEST.search(image_id)
    return f"{repository}@{found[0].partition('@')[2]}" if found else reference


def _status_message(pod: Pod) -> str:
    waiting = program(pod).waiting
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    # These reasons only say that it starts; what it waits for is in its events.
    if reason not in ("", "ContainerCreating", "PodInitializing"):
        return f"{reason}: {message}" if message else reason
    if pod.ended and pod.end_message:
        return pod.end_message
    scheduled = pod.condition("PodScheduled")
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason')}: {scheduled.get('message')}"
    return ""


def _newest_warning(events: Sequence[Mapping[str, Any]]) -> str:
    warnings = [event for event in events if event.get("type") == "Warning"]
    # Events of the newer API (events.k8s.io) have no lastTimestamp.
    newest = max(
        warnings, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), default={}
    )
    return f"{newest.get('reason')}: {newest.get('message')}" if newest else ""


def _stage(pod: Pod) -> str:
    if not pod.node:
        return "The pod waits for a node"
    return f"The pod is starting on {pod.node} from {pod.container.get('image')}"
