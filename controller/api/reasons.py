"""The one table of condition and event reasons; docs/conditions.md is printed from it.

Reasons are part of the API: people and alerts match on them, so none may ever be renamed.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from controller import names

Outcome = Literal["ready", "waiting", "retry", "stalled", "condition", "event"]


class Reason(NamedTuple):
    """A reason, what kind of outcome it stands for, and what it tells a person."""

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
ADDRESS_CONFLICT = "AddressConflict"
POOL_OVERLAP = "PoolOverlap"
POOL_EXHAUSTED = "InternalPoolExhausted"
NAME_TAKEN = "NameTaken"
DEVICE_ID_TAKEN = "DeviceIdTaken"
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
    Reason(RUNNING, "ready", "The container runs as the spec asks."),
    Reason(STOPPED, "ready", "The container is stopped, as the spec asks."),
    Reason(PAUSED, "condition", "spec.paused is set: nothing is reconciled until it is cleared."),
    Reason(PROGRESSING, "waiting", "Steps towards the desired state are being made."),
    Reason(DELETING, "waiting", "The container and its networks are being removed."),
    Reason(IMAGE_PULLING, "waiting", "The image is being pulled; the message tells how far."),
    Reason(IMAGE_PULL_FAILED, "retry", "The registry could not be reached or broke off; the pull is tried again."),
    Reason(IMAGE_NOT_FOUND, "stalled", "The registry has no such image: correct spec.image or spec.version."),
    Reason(IMAGE_REFUSED, "stalled", "The registry refused us: add or correct spec.imagePullSecrets."),
    Reason(
        IMAGE_NOT_ALLOWED,
        "stalled",
        "The image is outside EDGE_IMAGE_PREFIXES: correct the image or the setting.",
    ),
    Reason(PARENT_MISSING, "waiting", "The host has no such interface now; the runtime starts when it is back."),
    Reason(PARENT_DOWN, "waiting", "The parent interface is down or its cable is out; the runtime runs on."),
    Reason(
        WIFI_PARENT,
        "stalled",
        "The parent interface is Wi-Fi, where access points drop foreign MAC addresses: give a wired one.",
    ),
    Reason(
        VLAN_UNSUPPORTED,
        "stalled",
        "The kernel makes no VLAN interfaces: load the module 8021q (modprobe 8021q), or make the interface.",
    ),
    Reason(
        DEDICATED_REFUSED,
        "stalled",
        "spec.dedicatedInterface is Wi-Fi, in use or another runtime's; the message tells which.",
    ),
    Reason(DAEMON_UNREACHABLE, "waiting", "Docker does not answer; work goes on when it does."),
    Reason(DAEMON_SLOW, "waiting", "Docker answers, but is slower than it may be; it is looked at again."),
    Reason(
        ADDRESS_CONFLICT,
        "waiting",
        "Another runtime or machine has the address: free it or give another one; a start waits until it is free.",
    ),
    Reason(POOL_OVERLAP, "stalled", "The subnet overlaps a Docker network that is not ours: remove that network."),
    Reason(POOL_EXHAUSTED, "stalled", "No /28 is left in EDGE_INTERNAL_POOL: make the range larger."),
    Reason(NAME_TAKEN, "stalled", "Something else has this name: rename or remove what the message names."),
    Reason(
        DEVICE_ID_TAKEN,
        "stalled",
        "Another Runtime of the namespace has this deviceId: delete one of the two; the container is handed over.",
    ),
    Reason(DISK_FULL, "retry", "The disk is full: free space; work goes on by itself."),
    Reason(SPEC_IMPOSSIBLE, "stalled", "The engine refuses the spec; the message tells which field."),
    Reason(ADDRESS_PENDING, "waiting", "A DHCP server on the parent's LAN is being asked for an address."),
    Reason(DHCP_SILENT, "waiting", "No DHCP server answers on the parent's LAN; it is asked again without end."),
    Reason(LEASE_REFUSED, "waiting", "The DHCP server took the address back; it is asked for another one."),
    Reason(LEASE_EXPIRED, "waiting", "The lease ended and no DHCP server answered; the same address is asked for."),
    Reason(LEASE_UNRENEWED, "condition", "No DHCP server renews the lease; the address stays until the lease ends."),
    Reason(
        MULTUS_MISSING, "stalled", "Pods get spec.interfaces from Multus, which is not there; the message tells how."
    ),
    Reason(
        SECRET_MISSING,
        "waiting",
        "A Secret or key that spec.env names is not there; the message tells which. What runs is left running.",
    ),
    Reason(UNSCHEDULABLE, "waiting", "No node can take the pod now; the message tells what each of them lacks."),
    Reason(DEVICE_MISSING, "waiting", "A serial device is not plugged in; it is handed over when it is."),
    Reason(DEVICE_IN_USE, "stalled", "Another runtime has the serial device: take it from there or choose another."),
    Reason(DEVICES_UNSUPPORTED, "stalled", "The runtime cannot be given the device; the message tells why."),
    Reason(REPLACE_FAILED, "stalled", "The new container did not run and the old one was started again."),
    Reason(STEP_FAILED, "retry", "A step failed and is tried again; the message tells why."),
    Reason(CRASHED, "retry", "The runtime's program ends by itself; it is started again."),
    Reason(CONTAINER_PAUSED, "stalled", "Someone paused the container: `docker unpause` lets it go on."),
    Reason(ATTACHED, "condition", "All interfaces are on their networks with their addresses."),
    Reason(DETACHED, "condition", "An interface is not on its network; the message names it."),
    Reason(
        REALTIME_UNAVAILABLE,
        "condition",
        "The host cannot give realtime scheduling; the runtime runs without it.",
    ),
    Reason(
        EXCESS_RIGHTS,
        "condition",
        "The container was made with rights that its spec does not ask for now; the next one does not have them.",
    ),
    Reason(
        MEMORY_UNBOUNDED,
        "condition",
        "The host's kernel cannot bound memory, so spec.resources.memory does nothing: see `edge-controller check`.",
    ),
    Reason(
        REALTIME_BY_CAPABILITIES,
        "condition",
        "Pods get the capabilities SYS_NICE and IPC_LOCK; Kubernetes has no limits for rtprio and memlock.",
    ),
    Reason(HEALTHY, "condition", "The image's health check passes."),
    Reason(UNHEALTHY, "condition", "The image's health check fails."),
    Reason(ADOPTED, "event", "A container of the same identity was taken over without a restart."),
    Reason(ORPHANED, "event", "A container of ours has no Runtime: create it again, or run `docker rm -f`."),
    Reason(CREATED, "event", "The container was created."),
    Reason(STARTED, "event", "The container was started."),
    Reason(RESTARTED, "event", "The container was restarted; the message tells why."),
    Reason(REPLACED, "event", "The container was replaced by one of the new spec."),
    Reason(UPDATED, "event", "The running container was changed in place."),
    Reason(DELETED, "event", "The container and its networks were removed."),
    Reason(REPAIRED, "event", "Something changed by hand was put right."),
    Reason(NODE_READY, "condition", "EdgeNode: Docker answers, runtimes can be started and changed."),
    Reason(NODE_AWAY, "waiting", "The node is not heard of, so nobody knows; nothing is deleted or moved meanwhile."),
    Reason(UNPLACEABLE, "stalled", "No node has what the spec asks for; the message tells which node has what."),
    Reason(DISK_HAS_ROOM, "condition", "EdgeNode: the disks of EDGE_STATE_DIR and of Docker have room."),
    Reason(CONNECTED, "condition", "EdgeNode: the link to the cloud is up."),
    Reason(DISCONNECTED, "condition", "EdgeNode: the link to the cloud is down; the message tells why."),
    Reason(NO_CLOUD, "condition", "EdgeNode: EDGE_CLOUD_URL is empty, there is no cloud to connect to."),
    Reason(RETIRED, "condition", "EdgeNode: delete_orchestrator retired the agent; `edge-controller reset` lifts it."),
)


def outcome(name: str) -> Outcome:
    """What kind of outcome a reason stands for."""
    return next(reason.outcome for reason in TABLE if reason.name == name)


def meaning(name: str) -> str:
    """What a reason tells a person."""
    return next(reason.meaning for reason in TABLE if reason.name == name)


def table() -> str:
    """The reasons as a Markdown table."""
    rows = ["| reason | outcome | meaning |", "| --- | --- | --- |"]
    return "\n".join([*rows, *(f"| `{reason.name}` | {reason.outcome} | {reason.meaning} |" for reason in TABLE)])
