"""Authorization by one small table. A user without an entry may only review its own identity and access.

The terms are those of Kubernetes' RBAC. The table is in code, not in objects, because an edge host has three users
(docs/decisions/070-access.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from controller import names
from controller.apiserver import failures
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.identities import ANONYMOUS, AUTHENTICATED, CONTROLLER, MASTERS, Identity
from controller.apiserver.kinds.resources import Registry

Object = dict[str, Any]


class Rule(NamedTuple):
    """Verbs on resources of API groups, ``plural/subresource`` for a subresource; "*" means all."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    but: tuple[str, ...] = ()  # resources (``plural.group``) excluded from "*", with their subresources

    def allows(self, attrs: Attributes) -> bool:
        """Whether the rule allows a request for a resource."""
        return (
            bool(attrs.resource)
            and _among(attrs.verb, self.verbs)
            and _among(attrs.group, self.groups)
            and _among(attrs.full_resource, self.resources)
            and attrs.qualified not in self.but
        )


class PathRule(NamedTuple):
    """Verbs on non-resource paths; a trailing "*" matches the rest."""

    verbs: tuple[str, ...]
    paths: tuple[str, ...]

    def allows(self, attrs: Attributes) -> bool:
        """Whether the rule allows a request for a path."""
        return (
            not attrs.resource
            and _among(attrs.verb, self.verbs)
            and any(fnmatchcase(attrs.path, path) for path in self.paths)
        )


Rules = tuple[Rule | PathRule, ...]

READ = ("get", "list", "watch")
HEALTH = ("/healthz", "/healthz/*", "/livez", "/livez/*", "/readyz", "/readyz/*", "/version", "/version/")
DISCOVERY = ("/", "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")
ALL = ("*",)

# Beyond the controller's rights in a cluster, where the kubelet writes the Node.
OF_NODES = (Rule(("create",), ("",), ("nodes",)), Rule(("patch",), ("",), ("nodes/status",)))

# By user or group name. The controller's rights match the roles that helm/edge-controller grants it in a cluster.
TABLE: Mapping[str, Rules] = {
    MASTERS: (Rule(ALL, ALL, ALL), PathRule(ALL, ALL)),
    CONTROLLER: (
        Rule((*READ, "create", "patch", "delete"), (names.GROUP,), ("runtimes",)),
        Rule(("patch",), (names.GROUP,), ("runtimes/status", "edgenodes/status", "runtimecommands/status")),
        Rule(("get", "create"), (names.GROUP,), ("edgenodes",)),
        Rule(("get", "list", "create", "delete"), (names.GROUP,), ("runtimecommands",)),
        Rule(("create", "patch"), ("",), ("events",)),
        Rule(("get",), ("",), ("namespaces", "secrets")),
        *OF_NODES,
        # A cluster has no such paths. Each write of a transaction needs its own rights.
        PathRule(("post",), ("/transaction",)),
        PathRule(("get",), ("/backup",)),
    ),
    "viewer": (Rule(READ, ALL, ALL, but=("secrets",)),),
    AUTHENTICATED: (
        Rule(("create",), ("authorization.k8s.io",), ("selfsubjectaccessreviews", "selfsubjectrulesreviews")),
        Rule(("create",), ("authentication.k8s.io",), ("selfsubjectreviews",)),
        PathRule(("get", "head"), (*DISCOVERY, *HEALTH)),
    ),
    ANONYMOUS.groups[0]: (PathRule(("get", "head"), HEALTH),),
}


class Policy:
    """Authorizes requests by one table."""

    def __init__(self, registry: Registry, table: Mapping[str, Rules] = TABLE) -> None:
        self._registry = registry
        self._table = table

    def allows(self, user: Identity, attrs: Attributes) -> bool:
        """Whether a user may perform the request."""
        return any(rule.allows(attrs) for rule in self._rules(user))

    def check(self, user: Identity, attrs: Attributes) -> None:
        """Raise failures.Failure (403) unless ``allows``."""
        if not self.allows(user, attrs):
            raise refusal(user, attrs)

    def review(self, user: Identity) -> tuple[list[Object], list[Object]]:
        """The resource rules and the path rules of a user, as in a SelfSubjectRulesReview."""
        rules = list(self._rules(user))
        resources = [shown for rule in rules if isinstance(rule, Rule) for shown in self._shown(rule)]
        paths = [rule for rule in rules if isinstance(rule, PathRule)]
        return resources, [{"verbs": list(rule.verbs), "nonResourceURLs": list(rule.paths)} for rule in paths]

    def _rules(self, user: Identity) -> Iterator[Rule | PathRule]:
        for subject in dict.fromkeys((*user.groups, user.name)):
            yield from self._table.get(subject, ())

    def _shown(self, rule: Rule) -> Iterator[Object]:
        """Expand a rule with exclusions, which the API cannot express, into rules that list the included resources."""
        if not rule.but:
            yield _review(rule.verbs, rule.groups, rule.resources)
            return
        held = {name.partition(".")[2] for name in rule.but}
        yield _review(rule.verbs, tuple(sorted({r.group for r in self._registry.all()} - held)), ALL)
        for group in sorted(held):
            found = [r for r in self._registry.all() if r.group == group and r.qualified not in rule.but]
            yield _review(rule.verbs, (group,), tuple(dict.fromkeys(r.plural for r in found)))


def is_health(path: str) -> bool:
    """Whether the path is a health check or the version, which are served to everybody at any time."""
    return any(fnmatchcase(path, pattern) for pattern in HEALTH)


def refusal(user: Identity, attrs: Attributes) -> failures.Failure:
    """403 in Kubernetes' words."""
    if not attrs.resource:
        return failures.Failure(
            403, "Forbidden", f'forbidden: User "{user.name}" cannot {attrs.verb} path "{attrs.path}"'
        )
    scope = f'in the namespace "{attrs.namespace}"' if attrs.namespace else "at the cluster scope"
    what = f'{attrs.qualified} "{attrs.name}"' if attrs.name else attrs.qualified
    message = (
        f'{what} is forbidden: User "{user.name}" cannot {attrs.verb} resource "{attrs.full_resource}" '
        f'in API group "{attrs.group}" {scope}'
    )
    details = {"name": attrs.name, "group": attrs.group, "kind": attrs.resource}
    return failures.Failure(403, "Forbidden", message, {name: value for name, value in details.items() if value})


def _among(value: str, allowed: tuple[str, ...]) -> bool:
    return "*" in allowed or value in allowed


def _review(verbs: tuple[str, ...], groups: tuple[str, ...], resources: tuple[str, ...]) -> Object:
    return {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)}
