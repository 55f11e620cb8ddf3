"""Who a request comes from, and the users and groups that every server knows.

Apart from authorization.py, so that the short process that renews certificates does not import the server.
"""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """An authenticated user."""

    name: str
    groups: tuple[str, ...] = ()
    impersonator: str = ""  # the real user, if impersonated


ANONYMOUS = Identity("system:anonymous", ("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"
MASTERS = "system:masters"
CONTROLLER = "controller"
