"""The table of condition and event reasons; docs/conditions.md is generated from it.

Reasons are part of the API: people and alerts match on them, so never rename one.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from controller import errors, names

Outcome = Literal["ready", "waiting", "retry", "stalled", "condition", "event"]
Failure = Literal["waiting", "retry", "stalled"]
_ERRORS: dict[Failure, type[errors.ReconcileError]] = {
    "waiting": errors.Waiting,
    "retry": errors.Retry,
    "stalled": errors.Stalled,
}


class Reason(NamedTuple):
    """A reason, the kind of outcome it belongs to, and its meaning for a person."""

    name: str
    outcome: Outcome
    meaning: str


RUNNING = "Running"
STOPPED = "Stopped"
PAUSED = "Paused"
PROGRESSING = "Progressing"
DELETING = "Deleting"
IMAGE_PULLING = "ImagePulling"
IMAGE_PULL_FAILED = "ImagePullFailed"
IMAGE_NOT_FOUND = "ImageNotFound"
IMAGE_REFUSED = "ImageRefused"
IMAGE_NOT_ALLOWED = "ImageNotAllowed"
PARENT_MISSING = "ParentInterfaceMissing"
PARENT_DOWN = "ParentInterfaceDown"
WIFI_PARENT = "WifiParent"
VLAN_UNSUPPORTED = "VlanUnsupported"
DEDICATED_REFUSED = "DedicatedInterfaceRefused"
DAEMON_UNREACHABLE = "DockerUnreachable"
DAEMON_SLOW = "DockerSlow"
ENGINE_ROOTLESS = "DockerRootless"
ADDRESS_CONFLICT = "AddressConflict"
POOL_OVERLAP = "PoolOverlap"
POOL_EXHAUSTED = "InternalPoolExhausted"
NAME_TAKEN = "NameTaken"
DEVICE_ID_TAKEN = "DeviceIdTaken"
NAMESPACE_NOT_SERVED = "NamespaceNotServed"
DISK_FULL = names.DISK_FULL
DISK_HAS_ROOM = "DiskHasRoom"
SPEC_IMPOSSIBLE = "SpecImpossible"
ADDRESS_PENDING = "AddressPending"
DHCP_SILENT = "DhcpServerSilent"
LEASE_REFUSED = "LeaseRefused"
LEASE_EXPIRED = "LeaseExpired"
LEASE_UNRENEWED = "LeaseNotRenewed"
MULTUS_MISSING = "MultusMissing"
UNSCHEDULABLE = "Unschedulable"
SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a secret
DEVICE_MISSING = "DeviceMissing"
DEVICE_IN_USE = "DeviceInUse"
DEVICE_AMBIGUOUS = "DeviceAmbiguous"
DEVICES_UNSUPPORTED = "DevicesUnsupported"
REPLACE_FAILED = "ReplaceFailed"
STEP_FAILED = "StepFailed"
CRASHED = "Crashed"
CONTAINER_PAUSED = "ContainerPaused"
ATTACHED = "Attached"
DETACHED = "Detached"
REALTIME_UNAVAILABLE = "RealtimeUnavailable"
EXCESS_RIGHTS = "ExcessRights"
MEMORY_UNBOUNDED = "MemoryUnbounded"
REALTIME_BY_CAPABILITIES = "RealtimeByCapabilities"
HEALTHY = "Healthy"
UNHEALTHY = "Unhealthy"
ADOPTED = "Adopted"
ORPHANED = "OrphanedContainer"
ANNOTATIONS_FULL = "AnnotationsFull"
CREATED = "Created"
STARTED = "Started"
RESTARTED = "Restarted"
REPLACED = "Replaced"
UPDATED = "Updated"
DELETED = "Deleted"
REPAIRED = "Repaired"
NODE_READY = "DockerReachable"
NODE_AWAY = "NodeAway"
UNPLACEABLE = "NoNodeFits"
CONNECTED = "Connected"
DISCONNECTED = "Disconnected"
NO_CLOUD = "NoCloud"
RETIRED = "Retired"

TABLE: tuple[Reason, ...] = (
    Reason(RUNNING, "ready", "The container is running as the spec requires."),
    Reason(STOPPED, "ready", "The container is stopped as the spec requires."),
    Reason(
        PAUSED, "condition", "spec.paused is true: the controller does not reconcile the Runtime until it is false."
    ),
    Reason(PROGRESSING, "waiting", "The controller is working towards the desired state."),
    Reason(DELETING, "waiting", "The controller is removing the container and its networks."),
    Reason(IMAGE_PULLING, "waiting", "The controller is pulling the image; the message shows the progress."),
    Reason(
        IMAGE_PULL_FAILED,
        "retry",
        "The registry was unreachable or the transfer broke off; the controller retries the pull.",
    ),
    Reason(IMAGE_NOT_FOUND, "stalled", "The image does not exist: correct spec.image or spec.version."),
    Reason(IMAGE_REFUSED, "stalled", "The registry denied access: add or correct spec.imagePullSecrets."),
    Reason(
        IMAGE_NOT_ALLOWED, "stalled", "EDGE_IMAGE_PREFIXES does not allow the image: correct the image or the setting."
    ),
    Reason(
        PARENT_MISSING, "waiting", "The host has no such interface at the moment; the runtime starts when it appears."
    ),
    Reason(PARENT_DOWN, "waiting", "The parent interface is down or has no carrier; the runtime keeps running."),
    Reason(
        WIFI_PARENT,
        "stalled",
        "The parent interface is Wi-Fi, where access points drop foreign MAC addresses: use a wired one.",
    ),
    Reason(
        VLAN_UNSUPPORTED,
        "stalled",
        "The kernel cannot create VLAN interfaces: load the 8021q module or create the interface yourself.",
    ),
    Reason(
        DEDICATED_REFUSED,
        "stalled",
        "spec.dedicatedInterface is Wi-Fi, in use or taken by another runtime; the message says which.",
    ),
    Reason(DAEMON_UNREACHABLE, "waiting", "Docker does not respond; the controller resumes work when it does."),
    Reason(DAEMON_SLOW, "waiting", "Docker did not finish in time; the controller checks the result again."),
    Reason(ENGINE_ROOTLESS, "stalled", "Rootless engines cannot give LAN addresses: use the system's engine."),
    Reason(
        ADDRESS_CONFLICT,
        "waiting",
        "Another runtime or machine uses the address: free it or choose another; a start waits until it is free.",
    ),
    Reason(POOL_OVERLAP, "stalled", "The subnet overlaps a Docker network that is not ours: remove that network."),
    Reason(POOL_EXHAUSTED, "stalled", "EDGE_INTERNAL_POOL has no free /28 left: enlarge the range."),
    Reason(NAME_TAKEN, "stalled", "The name is already in use: rename or remove the object in the message."),
    Reason(
        DEVICE_ID_TAKEN,
        "stalled",
        "Another Runtime in the namespace owns this deviceId: delete one; the other has the container then.",
    ),
    Reason(
        NAMESPACE_NOT_SERVED,
        "stalled",
        "The installation runs no Runtimes of the namespace: add it to furtherNamespaces. What already ran is kept.",
    ),
    Reason(DISK_FULL, "retry", "The disk is full: free space; the controller then continues."),
    Reason(SPEC_IMPOSSIBLE, "stalled", "The backend rejects the spec; the message names the field."),
    Reason(
        ADDRESS_PENDING, "waiting", "The controller is requesting an address from the DHCP server on the parent's LAN."
    ),
    Reason(DHCP_SILENT, "waiting", "No DHCP server responds on the parent's LAN; the controller keeps asking."),
    Reason(LEASE_REFUSED, "waiting", "The DHCP server refuses the address; the controller requests another one."),
    Reason(
        LEASE_EXPIRED,
        "waiting",
        "The lease expired and no DHCP server responded; the controller requests the same address.",
    ),
    Reason(
        LEASE_UNRENEWED,
        "condition",
        "No DHCP server renews the lease; the address remains valid until the lease expires.",
    ),
    Reason(
        MULTUS_MISSING,
        "stalled",
        "spec.interfaces of pods needs Multus, which is not installed; the message says how to install it.",
    ),
    Reason(
        SECRET_MISSING,
        "waiting",
        "A Secret or key in spec.env does not exist or may not be read; a running container keeps running.",
    ),
    Reason(UNSCHEDULABLE, "waiting", "No cluster node can run the pod at the moment; the message says why."),
    Reason(DEVICE_MISSING, "waiting", "A serial device is not plugged in; the runtime gets it when it is."),
    Reason(DEVICE_IN_USE, "stalled", "Another runtime uses the serial device: release it there or choose another."),
    Reason(
        DEVICE_AMBIGUOUS,
        "stalled",
        "Equal serial devices without serial numbers have the same name: request one by the name of its port.",
    ),
    Reason(DEVICES_UNSUPPORTED, "stalled", "The runtime cannot get the device; the message says why."),
    Reason(
        REPLACE_FAILED,
        "stalled",
        "The new container failed, so the controller restarted the old one: correct the spec.",
    ),
    Reason(STEP_FAILED, "retry", "A step failed; the controller retries it. The message says why."),
    Reason(CRASHED, "retry", "The program in the runtime exited unexpectedly; it is restarted."),
    Reason(CONTAINER_PAUSED, "stalled", "Someone paused the container: run `docker unpause`."),
    Reason(ATTACHED, "condition", "All interfaces or devices are attached."),
    Reason(DETACHED, "condition", "An interface or device is not attached; the message names it."),
    Reason(
        REALTIME_UNAVAILABLE,
        "condition",
        "The host does not support real-time scheduling; the runtime runs without it.",
    ),
    Reason(
        EXCESS_RIGHTS,
        "condition",
        "The container has rights that its spec no longer requests; the next container will not have them.",
    ),
    Reason(
        MEMORY_UNBOUNDED,
        "condition",
        "The kernel cannot limit memory, so spec.resources.memory has no effect: see `edge-controller check`.",
    ),
    Reason(
        REALTIME_BY_CAPABILITIES,
        "condition",
        "Pods get the capabilities SYS_NICE and IPC_LOCK; Kubernetes cannot set rtprio and memlock limits.",
    ),
    Reason(HEALTHY, "condition", "The image's health check passes."),
    Reason(UNHEALTHY, "condition", "The image's health check fails."),
    Reason(
        ADOPTED, "event", "The controller took over an existing container with the same identity, without a restart."
    ),
    Reason(
        ORPHANED,
        "event",
        "A container of this installation has no Runtime: recreate the Runtime or run `docker rm -f`.",
    ),
    Reason(
        ANNOTATIONS_FULL,
        "event",
        "The annotations have no room for those of the controller: use `kubectl apply --server-side`.",
    ),
    Reason(CREATED, "event", "The controller created the container."),
    Reason(STARTED, "event", "The controller started the container."),
    Reason(RESTARTED, "event", "The controller restarted the container; the message says why."),
    Reason(REPLACED, "event", "The controller replaced the container with one for the new spec."),
    Reason(UPDATED, "event", "The controller changed the running container in place."),
    Reason(DELETED, "event", "The controller removed the container and its networks."),
    Reason(REPAIRED, "event", "The controller repaired networks or devices of the running container."),
    Reason(NODE_READY, "condition", "EdgeNode: Docker responds; runtimes can be started and changed."),
    Reason(NODE_AWAY, "waiting", "The leader has no contact with the node; it deletes and moves nothing meanwhile."),
    Reason(UNPLACEABLE, "stalled", "No node meets the spec; the message says what each node has."),
    Reason(DISK_HAS_ROOM, "condition", "EdgeNode: the disks of EDGE_STATE_DIR and Docker have free space."),
    Reason(CONNECTED, "condition", "EdgeNode: the cloud link is up."),
    Reason(DISCONNECTED, "condition", "EdgeNode: the cloud link is down; the message says why."),
    Reason(NO_CLOUD, "condition", "EdgeNode: EDGE_CLOUD_URL is empty, so there is no cloud to connect to."),
    Reason(
        RETIRED, "condition", "EdgeNode: delete_orchestrator retired the agent; `edge-controller reset` reactivates it."
    ),
)


def outcome(name: str) -> Outcome:
    """Return the kind of outcome that a reason belongs to."""
    return next(reason.outcome for reason in TABLE if reason.name == name)


def failure(name: str) -> Failure:
    """Return how a reconciliation goes on after this reason. Raises ValueError for a reason that ends none."""
    match outcome(name):
        case "waiting" | "retry" | "stalled" as kind:
            return kind
        case other:
            raise ValueError(f"{name} is the reason of a {other}")


def error(name: str, message: str) -> errors.ReconcileError:
    """Return the error that ends a reconciliation for this reason. Raises ValueError for a reason that ends none."""
    return _ERRORS[failure(name)](name, message)


def meaning(name: str) -> str:
    """Return the meaning of a reason as a condition message, without the final full stop."""
    return next(reason.meaning for reason in TABLE if reason.name == name).removesuffix(".")


def table() -> str:
    """Return the reasons as a Markdown table."""
    rows = ["| reason | outcome | meaning |", "| --- | --- | --- |"]
    return "\n".join([*rows, *(f"| `{reason.name}` | {reason.outcome} | {reason.meaning} |" for reason in TABLE)])
