"""CustomResourceDefinitions of the kinds: schemas from the models, rules and printer columns from the tables below.

``edge-controller crds`` writes them to crds/. A rule across fields is attached to the parent object: a rule on the
field itself would not run when the field is omitted (API conventions: validation with CEL).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from controller import names
from controller.api import schema
from controller.api.edgenodes import EdgeNode, EdgeNodeSpec, EdgeNodeStatus
from controller.api.kinds import EDGE_NODES, RUNTIME_COMMANDS, RUNTIMES
from controller.api.runtime_status import RuntimeStatus
from controller.api.runtimecommands import RuntimeCommand, RuntimeCommandSpec, RuntimeCommandStatus
from controller.api.runtimes import Runtime, RuntimeSpec
from controller.machinery.kinds import Kind


class Rule(NamedTuple):
    """A CEL rule at a path of property names in the schema; ``[]`` selects the items of a list."""

    path: tuple[str, ...]
    rule: str
    message: str


class Column(NamedTuple):
    """A column of ``kubectl get``; priority 1 is shown only with ``-o wide``."""

    name: str
    json_path: str
    kind: str = "string"
    priority: int = 0


class Definition(NamedTuple):
    """Input for the CRD of one kind; the docstring of ``model`` is its description."""

    kind: Kind
    short_name: str
    model: type[BaseModel]
    spec: type[BaseModel]
    status: type[BaseModel]
    rules: tuple[Rule, ...] = ()
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()


def condition(kind: str, field: str) -> str:
    """Return the JSONPath of a field of one condition."""
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


def set_once(field: str) -> Rule:
    """Return the rule that a field, once set, cannot be changed or cleared."""
    rule = f"!has(oldSelf.{field}) || (has(self.{field}) && self.{field} == oldSelf.{field})"
    return Rule(("spec",), rule, f"{field} is immutable once set")


def unique(items: str, field: str) -> Rule:
    """Return the rule that no two items of a list have the same value in a field."""
    # Quadratic, which the maximum sizes of the lists keep within the cost limit of CEL.
    rule = f"!has(self.{items}) || self.{items}.all(a, self.{items}.exists_one(b, b.{field} == a.{field}))"
    return Rule(("spec",), rule, f"{field} must be unique in {items}")


def plain_path(items: str, field: str) -> Iterator[Rule]:
    """Yield rules that a path inside the runtime is canonical and not below /proc or /sys."""
    place = ("spec", items, "[]")
    # Two backslashes each: the text literal of CEL removes one before the pattern is parsed.
    odd = r"//|(^|/)[.][.]?(/|$)|[\\x00-\\x1f\\x7f]"
    yield Rule(
        place, f"!self.{field}.matches('{odd}')", f"{field} must not contain '.', '..', '//' or control characters"
    )
    yield Rule(place, f"!self.{field}.matches('^/(proc|sys)(/|$)')", f"{field} must not be below /proc or /sys")


AGE = Column("Age", ".metadata.creationTimestamp", "date")

RUNTIME = Definition(
    RUNTIMES,
    "rt",
    Runtime,
    RuntimeSpec,
    RuntimeStatus,
    rules=(
        Rule(("spec",), "self.deviceId == oldSelf.deviceId", "deviceId is immutable"),
        set_once("backend"),
        set_once("nodeName"),
        unique("volumes", "mountPath"),
        unique("serialPorts", "containerPath"),
        *plain_path("volumes", "mountPath"),
        *plain_path("serialPorts", "containerPath"),
        Rule(("spec", "volumes", "[]"), "!self.mountPath.matches('^/dev/?$')", "mountPath must not be /dev itself"),
        Rule(
            ("spec", "env", "[]"),
            r"!has(self.value) || !self.value.matches('\\x00')",
            "value must not contain a null character",
        ),
        Rule(
            ("spec", "env", "[]"),
            "!has(self.valueFrom) || !has(self.value) || self.value == ''",
            "value and valueFrom are mutually exclusive",
        ),
        Rule(
            ("spec", "interfaces", "[]"),
            "self.mode != 'Static' || (has(self.address) && has(self.subnet))",
            "address and subnet are required with mode Static",
        ),
        Rule(
            ("spec", "interfaces", "[]"),
            "self.mode != 'Dhcp' || !has(self.address)",
            "address is not allowed with mode Dhcp",
        ),
    ),
    columns=(
        Column("Ready", condition(names.READY, "status")),
        Column("State", ".status.state"),
        Column("Node", ".status.node"),
        Column("IP", ".status.interfaces[0].address"),
        Column("Image", ".status.imageSource"),
        Column("Restarts", ".status.restartCount", "integer"),
        AGE,
        Column("Internal-IP", ".status.internalIP", priority=1),
        Column("MAC", ".status.interfaces[0].macAddress", priority=1),
        Column("Lease-Until", ".status.interfaces[0].lease.expiresAt", priority=1),
        Column("Last-Restart", ".status.lastRestart.cause", priority=1),
        Column("Message", condition(names.READY, "message"), priority=1),
    ),
    selectable=(".spec.nodeName", ".spec.backend", ".spec.deviceId"),
)

EDGE_NODE = Definition(
    EDGE_NODES,
    "en",
    EdgeNode,
    EdgeNodeSpec,
    EdgeNodeStatus,
    columns=(
        Column("Ready", condition(names.READY, "status")),
        Column("Cloud", condition(names.CLOUD_CONNECTED, "status")),
        Column("Agent", ".status.agentId"),
        Column("Runtimes", ".status.runtimes.total", "integer"),
        Column("Version", ".status.version"),
        AGE,
        Column("Message", condition(names.READY, "message"), priority=1),
        Column("Cloud-Message", condition(names.CLOUD_CONNECTED, "message"), priority=1),
    ),
)

RUNTIME_COMMAND = Definition(
    RUNTIME_COMMANDS,
    "rtc",
    RuntimeCommand,
    RuntimeCommandSpec,
    RuntimeCommandStatus,
    rules=(Rule(("spec",), "self == oldSelf", "spec is immutable"),),
    columns=(
        Column("Topic", ".spec.topic"),
        Column("Device", ".spec.deviceId"),
        Column("Outcome", ".status.outcome"),
        Column("Requested", ".spec.requestedAt"),
        AGE,
        Column("Message", ".status.message", priority=1),
    ),
)

DEFINITIONS = (RUNTIME, EDGE_NODE, RUNTIME_COMMAND)


def manifests() -> list[dict[str, Any]]:
    """Return all CRDs."""
    return [manifest(definition) for definition in DEFINITIONS]


def manifest(definition: Definition) -> dict[str, Any]:
    """Return one CRD (apiextensions.k8s.io/v1)."""
    kind = definition.kind
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [definition.short_name],
                "categories": [names.CATEGORY],
            },
            "versions": [_version(definition)],
        },
    }


def _version(definition: Definition) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": definition.kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _object_schema(definition)},
        # Writes of the status do not increase the generation, and writes of the spec cannot touch the status.
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in definition.columns],
    }
    if definition.selectable:
        # Without them, the API rejects a field selector on anything but name and namespace.
        version["selectableFields"] = [{"jsonPath": path} for path in definition.selectable]
    return version


def _object_schema(definition: Definition) -> dict[str, Any]:
    root: dict[str, Any] = {
        "type": "object",
        "description": inspect.getdoc(definition.model),
        "required": ["spec"] if definition.spec.model_fields else [],
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version of the object."},
            "kind": {"type": "string", "description": "Kind of the object."},
            "metadata": {"type": "object"},
            "spec": schema.of(definition.spec),
            "status": schema.of(definition.status),
        },
    }
    for rule in definition.rules:
        node = _at(root, rule.path)
        node.setdefault("x-kubernetes-validations", []).append({"rule": rule.rule, "message": rule.message})
    return {key: value for key, value in root.items() if value != []}


def _at(node: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for part in path:
        node = node["items"] if part == "[]" else node["properties"][part]
    return node


def _column(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": column.name, "type": column.kind, "jsonPath": column.json_path}
    return {**entry, "priority": column.priority} if column.priority else entry
