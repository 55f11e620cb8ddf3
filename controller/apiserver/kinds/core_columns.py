"""The columns that ``kubectl get`` prints for Kubernetes' own kinds, as Kubernetes' printers define them.

A kind whose columns include Name shows the name there instead of in the first column.
"""

from __future__ import annotations

from typing import Any

from controller.apiserver.kinds.resources import AGE, Column

Object = dict[str, Any]

UNKNOWN = "<unknown>"
NONE = "<none>"
ROLE = "node-role.kubernetes.io/"


def _last_seen(event: Object) -> Any:
    """When an event last occurred; accepts core/v1 and events.k8s.io/v1."""
    # The series first, as Kubernetes prints it: newer clients update only that.
    series = (event.get("series") or {}).get("lastObservedTime")
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    return series or last or _first_seen(event)


def _first_seen(event: Object) -> Any:
    return event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime") or ""


def _about(event: Object) -> Object:
    found: Object = event.get("involvedObject") or event.get("regarding") or {}
    return found


def _object(event: Object) -> str:
    about = _about(event)
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _source(event: Object) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    reporter = event.get("reportingComponent") or event.get("reportingController") or ""
    names = (source.get("component") or reporter, source.get("host") or event.get("reportingInstance"))
    return ", ".join(name for name in names if name)


def _count(event: Object) -> str:
    count = (event.get("series") or {}).get("count") or event.get("count") or event.get("deprecatedCount")
    # Newer clients leave the count out for a single occurrence.
    return str(count or 1)


def _message(event: Object) -> str:
    return str(event.get("message") or event.get("note") or "").strip()


def _entries(item: Object) -> int:
    return len(item.get("data") or {}) + len(item.get("binaryData") or {})


def _ports(service: Object) -> str:
    ports = service.get("spec", {}).get("ports", ())
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or NONE


def _selector(service: Object) -> str:
    return ",".join(f"{name}={value}" for name, value in (service["spec"].get("selector") or {}).items()) or NONE


def _node_status(node: Object) -> str:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((each.get("status") for each in conditions if each.get("type") == "Ready"), None)
    status = "Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"
    return f"{status},SchedulingDisabled" if (node.get("spec") or {}).get("unschedulable") else status


def _roles(node: Object) -> str:
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(name.removeprefix(ROLE) for name in labels if name.startswith(ROLE))) or NONE


def _address(kind: str) -> Column:
    def cell(node: Object) -> Any:
        addresses = (node.get("status") or {}).get("addresses") or ()
        return next((each["address"] for each in addresses if each["type"] == kind), NONE)

    return Column(kind.replace("IP", "-IP"), "", priority=1, cell=cell)


def _system(name: str, field: str, priority: int = 1) -> Column:
    def cell(node: Object) -> Any:
        return ((node.get("status") or {}).get("nodeInfo") or {}).get(field) or (UNKNOWN if priority else "")

    return Column(name, "", priority=priority, cell=cell)


EVENTS = (
    Column("Last Seen", "", "date", cell=_last_seen),
    Column("Type", ".type"),
    Column("Reason", ".reason"),
    Column("Object", "", cell=_object),
    Column("Subobject", "", priority=1, cell=lambda event: _about(event).get("fieldPath", "")),
    Column("Source", "", priority=1, cell=_source),
    Column("Message", "", cell=_message),
    Column("First Seen", "", "date", priority=1, cell=_first_seen),
    Column("Count", "", priority=1, cell=_count),
    # Names of Events are generated; kubectl shows them only with -o wide.
    Column("Name", ".metadata.name", priority=1),
)
NAMESPACES = (Column("Status", ".status.phase"), AGE)
DEFINITIONS = (Column("Created At", ".metadata.creationTimestamp"),)
CONFIG_MAPS = (Column("Data", "", cell=_entries), AGE)
SECRETS = (Column("Type", ".type"), Column("Data", "", cell=_entries), AGE)
SERVICE_ACCOUNTS = (AGE,)
LEASES = (Column("Holder", ".spec.holderIdentity"), AGE)
SERVICES = (
    Column("Type", ".spec.type"),
    Column("Cluster-IP", ".spec.clusterIP"),
    Column("External-IP", "", cell=lambda _: NONE),
    Column("Port(s)", "", cell=_ports),
    AGE,
    Column("Selector", "", priority=1, cell=_selector),
)
NODES = (
    Column("Status", "", cell=_node_status),
    Column("Roles", "", cell=_roles),
    AGE,
    _system("Version", "kubeletVersion", priority=0),
    _address("InternalIP"),
    _address("ExternalIP"),
    _system("OS-Image", "osImage"),
    _system("Kernel-Version", "kernelVersion"),
    _system("Container-Runtime", "containerRuntimeVersion"),
)
