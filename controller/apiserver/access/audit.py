"""Log a line for every write: who changed what, from where, and the result. Never logs bodies.

The logger has its own name, so that its lines can be routed separately. The routine writes of a healthy host (status,
Events, Leases) are logged at DEBUG: the log is on the same SD card, and those objects record it themselves. Rejected
writes are logged too, rate-limited per user (cli/logging.py).
"""

from __future__ import annotations

import logging

from aiohttp import web

from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.identities import Identity
from controller.apiserver.incoming import Incoming

logger = logging.getLogger("edge.audit")

ROUTINE = ("events", "leases")
DISK_FULL = 507  # logged once, when the disk fills up
TRANSACTION = "/transaction"  # its writes are logged one by one
REVIEWS = ("authentication.k8s.io", "authorization.k8s.io")  # creating a review is a query
AGENT_LENGTH = 120
NAME = web.RequestKey("name", str)  # of the created object, which the URL does not contain


def note(request: Incoming, user: Identity, attrs: Attributes, code: int, seconds: float) -> None:
    """Log a finished request unless it is a read."""
    if attrs.reads or attrs.group in REVIEWS or (attrs.path == TRANSACTION and code < 400):
        return
    routine = (attrs.resource in ROUTINE or attrs.subresource == "status") and (code < 400 or code == DISK_FULL)
    logger.log(
        logging.DEBUG if routine else logging.INFO,
        "API write",
        extra={
            "user": user.name,
            **({"impersonator": user.impersonator} if user.impersonator else {}),
            "verb": attrs.verb,
            "resource": f"{attrs.qualified}/{attrs.subresource}" if attrs.subresource else attrs.qualified,
            "object": "/".join(part for part in (attrs.namespace, attrs.name or request.get(NAME, "")) if part),
            "code": code,
            **({"dry_run": True} if request.query.get("dryRun") else {}),
            "milliseconds": round(seconds * 1000),
            "peer": request.remote or "local",
            "agent": request.headers.get("User-Agent", "")[:AGENT_LENGTH],
        },
    )
