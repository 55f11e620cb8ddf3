"""The served resources: core kinds, and those that CustomResourceDefinitions add.

A ``Resource`` describes everything that the verbs need to know about a kind. No storage, no requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from controller.apiserver.kinds import core_schemas, core_types
from controller.apiserver.schemas import identifiers
from controller.apiserver.schemas.causes import Cause
from controller.apiserver.schemas.structural import EMBEDDED

Object = dict[str, Any]


VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
READ = ("get", "list", "watch")


def _prepare_unchanged(item: Object, _: Object | None) -> Object:
    return item


def _unchanged(item: Object) -> Object:
    return item


def _no_change_faults(_: Object, __: Object) -> list[Cause]:
    return []


def _no_faults(_: Object) -> list[Cause]:
    return []


def _embeds(schema: Object) -> bool:
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return bool(schema.get(EMBEDDED)) or any(_embeds(part) for part in inner if isinstance(part, dict))


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0
    description: str = ""
    cell: Callable[[Object], Any] | None = None  # computes the cell when a path cannot


@dataclass(frozen=True)
class Selectable:
    """A field that field selectors support."""

    name: str
    paths: tuple[str, ...] = ()  # where the value may be stored, if not at ``name``
    absent: str = ""  # value of an absent field


@dataclass(frozen=True)
class Subresource:
    """A path below an object, with its own verbs."""

    name: str
    verbs: tuple[str, ...] = ("get", "patch", "update")
    writes: str = ""  # the field that only this subresource writes
    kind: tuple[str, str, str] | None = None  # group, version and kind of its bodies; None: those of the object
    paths: Object | None = None  # of a scale: JSONPaths of the values in the object


STATUS = Subresource("status", writes="status")
FINALIZE = Subresource("finalize", ("update",), writes="spec")


def scale(paths: Object) -> Subresource:
    """The scale of a custom resource (API reference: CustomResourceSubresourceScale)."""
    return Subresource("scale", kind=("autoscaling", "v1", "Scale"), paths=paths)


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
    subresources: tuple[Subresource, ...] = ()
    schema: Object | None = None  # None: a core kind, stored without defaulting
    columns: tuple[Column, ...] = ()
    selectable: tuple[Selectable, ...] = ()
    list_kind: str = ""
    has_generation: bool = False
    storage: str = ""  # plural.group of the stored collection, when it differs (events of two groups share one)
    expires: int = 0  # seconds after the last write until an object expires; 0: never
    verbs: tuple[str, ...] = VERBS
    defined_at: int = 0  # revision of its definition; older objects may lack defaults
    storage_version: str = ""  # the storage version of its definition
    allows_unconditional_update: bool = True  # an update may omit resourceVersion
    creates_on_update: bool = False  # an update creates a missing object
    status_write_keeps_metadata: bool = False  # a write of the status does not change metadata
    validate_name: Callable[[str], list[str]] = identifiers.subdomain  # faults of a name
    requires_qualified_finalizers: bool = False  # a finalizer must be a standard one or domain-qualified
    terminating: bool = False  # its definition is being deleted: creating objects is refused
    prepare: Callable[[Object, Object | None], Object] = _prepare_unchanged  # completes a new state, given the old one
    present: Callable[[Object], Object] = _unchanged  # converts a stored object for answers
    on_deletion: Callable[[Object], Object] = _unchanged  # changes an object whose deletion begins
    check: Callable[[Object], list[Cause]] = _no_faults  # faults beyond the schema
    check_change: Callable[[Object, Object], list[Cause]] = _no_change_faults  # faults of a change

    @property
    def shows_what_is_stored(self) -> bool:
        """Whether nothing is converted for answers."""
        return self.present is _unchanged

    @cached_property
    def structural_schema(self) -> Object | None:
        """The schema of its objects, including core kinds; None when there is none."""
        name = core_types.name_of(self.api_version, self.kind)
        return self.schema or (core_schemas.structural()[name] if name else None)

    @cached_property
    def embeds(self) -> bool:
        """Whether its objects may have embedded resources."""
        return self.schema is not None and _embeds(self.schema)

    @property
    def has_status(self) -> bool:
        """Whether the status is a subresource."""
        return STATUS in self.subresources

    def subresource(self, name: str) -> Subresource | None:
        """The subresource of that name."""
        return next((found for found in self.subresources if found.name == name), None)

    def fields_kept_by(self, subresource: str) -> set[str]:
        """The fields that a write through this subresource must not change; "" is the object itself."""
        here = self.subresource(subresource)
        # Each field has one way to write it: a manifest must not overwrite a status, nor a status the spec.
        return {part.writes for part in self.subresources if part.writes and part != here}

    @property
    def key(self) -> str:
        """Key of the stored collection."""
        # Without the version: all versions of a kind are one collection.
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


def of_definition(definition: Object) -> list[Resource]:
    """The resources that a CustomResourceDefinition serves.

    With webhook conversion, only the storage version is served: webhooks do not run here, and an unconverted object
    under another version would be misread.
    """
    spec, names = definition["spec"], definition["spec"]["names"]
    by_webhook = (spec.get("conversion") or {}).get("strategy") == "Webhook"
    return [
        Resource(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            singular=names.get("singular") or names["kind"].lower(),
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=_subresources(version.get("subresources") or {}),
            schema=version.get("schema", {}).get("openAPIV3Schema", {"type": "object"}),
            # Without columns of its own a custom resource shows its age, as in Kubernetes.
            columns=tuple(_column(c) for c in version.get("additionalPrinterColumns") or ()) or (AGE,),
            selectable=tuple(Selectable(f["jsonPath"].lstrip(".")) for f in version.get("selectableFields") or ()),
            list_kind=names.get("listKind", ""),
            has_generation=True,
            status_write_keeps_metadata=True,
            allows_unconditional_update=False,
            terminating="deletionTimestamp" in definition["metadata"],
            # Objects written before it may lack defaults that the definition has since: reading adapts them.
            defined_at=int(definition["metadata"].get("resourceVersion") or 0),
            storage_version=next(v["name"] for v in spec["versions"] if v.get("storage")),
        )
        for version in spec["versions"]
        if version.get("served") and (version.get("storage") or not by_webhook)
    ]


def as_stored(definition: Object) -> Resource:
    """The resource of a definition in its storage version, also if no version is served."""
    spec = definition["spec"]
    versions = [{**version, "served": version["storage"]} for version in spec["versions"]]
    return of_definition({**definition, "spec": {**spec, "versions": versions}})[0]


def _subresources(given: Object) -> tuple[Subresource, ...]:
    status = (STATUS,) if given.get("status") is not None else ()
    return (*status, scale(given["scale"])) if given.get("scale") else status


def _priority(version: str) -> tuple[int, int, int, str]:
    """Order of versions (API reference: version priority): v2, v1, v2beta1, v1alpha1, then others by name."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not found:
        return 3, 0, 0, version
    return ("beta", "alpha").index(found[2]) + 1 if found[2] else 0, -int(found[1]), -int(found[3] or 0), version


def _column(column: Object) -> Column:
    return Column(
        column["name"], column["jsonPath"], column["type"], column.get("priority") or 0, column.get("description") or ""
    )


class Registry:
    """The served resources by group, version and plural."""

    def __init__(self, core: Iterable[Resource]) -> None:
        self._core = {(r.group, r.version, r.plural): r for r in core}
        self._custom: dict[tuple[str, str, str], Resource] = {}

    def define(self, definitions: Iterable[Object]) -> None:
        """Replace the custom resources by those of these definitions."""
        resources = [resource for definition in definitions for resource in of_definition(definition)]
        # A new table instead of a changed one: other threads may be walking over the old one.
        self._custom = {(r.group, r.version, r.plural): r for r in resources}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource with this group, version and plural, None when there is none."""
        place = (group, version, plural)
        # Core first: a definition must not replace a kind that the server itself relies on.
        return self._core.get(place) or self._custom.get(place)

    def by_storage_key(self, key: str) -> Resource | None:
        """One of the resources whose objects are stored under this key."""
        return next((resource for resource in self.all() if resource.key == key), None)

    def all(self) -> list[Resource]:
        """Every resource, core first."""
        return [*self._core.values(), *self._custom.values()]

    def groups(self) -> dict[str, list[str]]:
        """Versions by group, preferred first, without the core group."""
        found: dict[str, list[str]] = {}
        for resource in self.all():
            if resource.group and resource.version not in found.setdefault(resource.group, []):
                found[resource.group].append(resource.version)
        return {group: sorted(versions, key=_priority) for group, versions in found.items()}
