"""The attributes of a request, from its method, path and query; used for authorization, handling and the audit log.

Source: the URL forms of the Kubernetes API (API concepts: resource URIs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from controller.apiserver.flags import flag
from controller.apiserver.incoming import Incoming

ON_OBJECT = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
ON_COLLECTION = {**ON_OBJECT, "GET": "list", "HEAD": "list", "DELETE": "deletecollection"}
OF_NAMESPACES = ("status", "finalize")  # subresources of a namespace, as opposed to resources in it
TRUE = ("1", "true")


class Attributes(NamedTuple):
    """A verb on a resource, or on a non-resource path (then ``resource`` is "")."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""  # for a namespace itself: its own name
    name: str = ""
    rest: tuple[str, ...] = ()  # surplus path segments

    @property
    def qualified(self) -> str:
        """``plural.group``, as in messages."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def full_resource(self) -> str:
        """``plural/subresource``, as in roles."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    @property
    def reads(self) -> bool:
        """Whether the verb is read-only."""
        return self.verb in ("get", "list", "watch", "head", "options")


def of(request: Incoming) -> Attributes:
    """The attributes of a request."""
    # The decoded path: handlers must see the same segments that were authorized.
    return of_url(request.method, request.path, request.query)


def of_url(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """The attributes of a method on a decoded path."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return Attributes(method.lower(), path)
    # The deprecated /watch/ prefix, which predates "?watch=1" and still works.
    watching = len(rest) > 1 and rest[0] == "watch"
    rest = rest[1:] if watching else rest
    namespace = ""
    if len(rest) >= 2 and rest[0] == "namespaces":
        namespace = rest[1]
        if len(rest) >= 3 and rest[2] not in OF_NAMESPACES:
            rest = rest[2:]
    resource, name, subresource = [*rest, "", ""][:3]
    verb = (ON_OBJECT if name else ON_COLLECTION).get(method, method.lower())
    if (watching and verb in ("get", "list")) or (verb == "list" and flag(query, "watch")):
        verb = "watch"
    return Attributes(verb, path, group, version, resource, subresource, namespace, name, tuple(rest[3:]))
