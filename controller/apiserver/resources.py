"""What the API serves: a table of core kinds, and whatever CustomResourceDefinitions add.

A ``Resource`` says everything the verbs need to know of a kind; nothing here stores or answers anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True)
class Resource:
    """One served kind in one version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    has_status: bool = False
    schema: Object | None = None  # None: a core kind, stored as it comes
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()
    list_kind: str = ""
    has_generation: bool = False
    storage: str = ""  # plural.group under which objects are stored, when it differs (events of two groups)
    expires: int = 0  # seconds after its last renewal after which an object goes by itself
    renewed: str = ""  # path of the time of that renewal, where it is not the creation
    field_readers: dict[str, Callable[[Object], str]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name of the stored collection."""
        return self.storage or (f"{self.plural}.{self.group}" if self.group else self.plural)

    @property
    def api_version(self) -> str:
        """``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """``plural.group`` as error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


AGE = Column("Age", ".metadata.creationTimestamp", "date")
EVENT_COLUMNS = (
    Column("Last Seen", ".lastTimestamp", "date"),
    Column("Type", ".type"),
    Column("Reason", ".reason"),
    Column("Object", ".involvedObject.name"),
    Column("Message", ".message"),
)
EVENT_FIELDS = (
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.kind",
    "involvedObject.uid",
    "reason",
    "type",
)
EXPIRY_SECONDS = 3600

CORE: tuple[Resource, ...] = (
    Resource(
        "",
        "v1",
        "namespaces",
        "Namespace",
        False,
        "namespace",
        ("ns",),
        has_status=True,
        columns=(Column("Status", ".status.phase"), AGE),
    ),
    Resource(
        "",
        "v1",
        "events",
        "Event",
        True,
        "event",
        ("ev",),
        columns=EVENT_COLUMNS,
        selectable=EVENT_FIELDS,
        expires=EXPIRY_SECONDS,
        renewed=".lastTimestamp",
    ),
    Resource(
        "events.k8s.io",
        "v1",
        "events",
        "Event",
        True,
        "event",
        ("ev",),
        columns=EVENT_COLUMNS,
        storage="events",
        selectable=("regarding.name",),
        expires=EXPIRY_SECONDS,
        renewed=".lastTimestamp",
    ),
    Resource(
        "", "v1", "secrets", "Secret", True, "secret", columns=(Column("Type", ".type"), AGE), selectable=("type",)
    ),
    Resource("", "v1", "configmaps", "ConfigMap", True, "configmap", ("cm",), columns=(AGE,)),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", True, "serviceaccount", ("sa",), columns=(AGE,)),
    Resource(
        "coordination.k8s.io",
        "v1",
        "leases",
        "Lease",
        True,
        "lease",
        columns=(Column("Holder", ".spec.holderIdentity"), AGE),
        expires=EXPIRY_SECONDS,
        renewed=".spec.renewTime",
    ),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        False,
        "customresourcedefinition",
        ("crd", "crds"),
        has_status=True,
        has_generation=True,
        columns=(Column("Created At", ".metadata.creationTimestamp"),),
    ),
)


def of_definition(definition: Object) -> list[Resource]:
    """The resources that a CustomResourceDefinition serves."""
    spec = definition["spec"]
    names = spec["names"]
    return [
        Resource(
            spec["group"], version["name"], names["plural"], names["kind"], spec["scope"] == "Namespaced",
            names.get("singular") or names["kind"].lower(), tuple(names.get("shortNames", ())),
            tuple(names.get("categories", ())), "status" in version.get("subresources", {}),
            version.get("schema", {}).get("openAPIV3Schema", {"type": "object"}),
            tuple(_column(c) for c in version.get("additionalPrinterColumns", ())) or (AGE,),
            tuple(f["jsonPath"].lstrip(".") for f in version.get("selectableFields", ())),
            names.get("listKind", ""), has_generation=True,
        )
        for version in spec["versions"] if version.get("served")
    ]  # fmt: skip


def _column(column: Object) -> Column:
    return Column(
        column["name"], column["jsonPath"], column["type"], column.get("priority", 0), column.get("description", "")
    )


class Registry:
    """The served resources by group, version and plural."""

    def __init__(self) -> None:
        self._core = {(r.group, r.version, r.plural): r for r in CORE}
        self._custom: dict[tuple[str, str, str], Resource] = {}

    def define(self, definitions: list[Object]) -> None:
        """Serve exactly these custom resources beside the core ones."""
        resources = [resource for definition in definitions for resource in of_definition(definition)]
        self._custom = {(r.group, r.version, r.plural): r for r in resources}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at that place."""
        place = (group, version, plural)
        return self._core.get(place) or self._custom.get(place)

    def all(self) -> list[Resource]:
        """Every resource, core first."""
        return [*self._core.values(), *self._custom.values()]

    def groups(self) -> dict[str, list[str]]:
        """Versions by named group."""
        found: dict[str, list[str]] = {}
        for resource in self.all():
            if resource.group and resource.version not in found.setdefault(resource.group, []):
                found[resource.group].append(resource.version)
        return found
