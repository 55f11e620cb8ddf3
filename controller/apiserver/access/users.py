"""Authentication: by our UNIX socket, a client certificate of our CA or a bearer token; otherwise anonymous.

Authorization is in authorization.py.
"""

from __future__ import annotations

import hmac
import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from controller.apiserver import failures
from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Policy
from controller.apiserver.access.identities import ANONYMOUS, AUTHENTICATED, CONTROLLER, Identity
from controller.apiserver.incoming import Incoming, OwnRequest

GROUP_ATTRIBUTE = "organizationName"
LOCAL = Identity(CONTROLLER, (AUTHENTICATED,))
IMPERSONATE = "Impersonate-"
AS_USER, AS_GROUP = "Impersonate-User", "Impersonate-Group"


class Certified(NamedTuple):
    """A user by certificate, and its expiry in seconds since the epoch."""

    identity: Identity
    end: float


class Users:
    """Authenticates requests. ``tokens``: user and groups by bearer token."""

    def __init__(self, tokens: dict[str, Identity], policy: Policy, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._policy = policy
        self._clock = clock
        # Once per connection: getpeercert() decodes the certificate at each call. Entries end with their connections.
        self._connections: WeakKeyDictionary[Any, Certified | None] = WeakKeyDictionary()

    def of(self, request: Incoming) -> Identity:
        """The user, or the impersonated user. Raises failures.Failure (400, 401, 403)."""
        identity = LOCAL if is_own(request) else self._by_credentials(request)
        acting = {name.title() for name in request.headers if name.title().startswith(IMPERSONATE)}
        # Ignoring one would suggest that it took effect.
        if acting - {AS_USER, AS_GROUP}:
            raise failures.bad_request(f"unsupported impersonation header: use {AS_USER} and {AS_GROUP} only")
        return self._impersonated(request, identity) if acting else identity

    def token_owner(self, token: str) -> Identity | None:
        """The owner of a bearer token, if any."""
        given = token.encode(errors="surrogateescape")  # aiohttp decodes non-UTF-8 header bytes this way
        # In constant time, so that the duration does not reveal how much of a token is right.
        found = [user for known, user in self._tokens.items() if hmac.compare_digest(known.encode(), given)]
        return found[0] if found else None

    def _by_credentials(self, request: Incoming) -> Identity:
        # The certificate first, as in Kubernetes: a token beside it is not checked.
        return self._by_certificate(request) or self._by_token(request.headers.get("Authorization", ""))

    def _by_token(self, authorization: str) -> Identity:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return ANONYMOUS
        if (owner := self.token_owner(token.strip())) is None:
            raise _unauthorized()
        return owner

    def _by_certificate(self, request: Incoming) -> Identity | None:
        """TLS verifies the certificate once; a kept connection may outlive it, so its expiry is checked here."""
        connection = request.get_extra_info("ssl_object")
        if connection is None:
            return None
        if connection not in self._connections:
            self._connections[connection] = _certified(connection.getpeercert() or {})
        found = self._connections[connection]
        if found and found.end < self._clock():
            raise _unauthorized()
        return found and found.identity

    def _impersonated(self, request: Incoming, user: Identity) -> Identity:
        """Impersonate another user; allowed for administrators, e.g. to try out the rights of others."""
        name, groups = request.headers.get(AS_USER, ""), request.headers.getall(AS_GROUP, [])
        for kind, wanted in [("users", name), *(("groups", group) for group in groups)]:
            self._policy.check(user, Attributes("impersonate", request.path, resource=kind, name=wanted))
        if not name:
            raise failures.bad_request(f"{AS_GROUP} without a user: set {AS_USER} as well")
        # This one is not authenticated, so it does not get the group of those that are.
        if name == ANONYMOUS.name:
            return ANONYMOUS._replace(impersonator=user.name)
        return Identity(name, tuple(dict.fromkeys((*groups, AUTHENTICATED))), user.name)


def is_own(request: Incoming) -> bool:
    """Whether it is of this process, or came through the UNIX socket, whose listener accepts only our own user."""
    if isinstance(request, OwnRequest):
        return True
    connection = request.get_extra_info("socket")
    return connection is not None and bool(connection.family == socket.AF_UNIX)


def _certified(certificate: dict[str, Any]) -> Certified | None:
    subject = [attribute for relative_name in certificate.get("subject", ()) for attribute in relative_name]
    name = dict(subject).get("commonName")
    if not name:
        return None
    groups = tuple(value for attribute, value in subject if attribute == GROUP_ATTRIBUTE)
    return Certified(Identity(name, (*groups, AUTHENTICATED)), ssl.cert_time_to_seconds(certificate["notAfter"]))


def _unauthorized() -> failures.Failure:
    return failures.Failure(401, "Unauthorized", "Unauthorized")
