"""A line for every write: who changed what, from where, and how it ended. Bodies are never told.

The logger has its own name, so that its lines can be sent elsewhere. What a healthy box writes all day (status,
events, leases) is told at DEBUG: the log lies on the same SD card, and those objects tell it themselves. A write that
was refused is logged too, paced for each user (cli/logging.py).
"""

from __future__ import annotations

import logging

from aiohttp import web

from controller.apiserver.access.attributes import Attributes
from controller.apiserver.access.authorization import Identity

logger = logging.getLogger("edge.audit")

ROUTINE = ("events", "leases")
DISK_FULL = 507  # which is told once, when the disk fills up
QUESTIONS = ("authentication.k8s.io", "authorization.k8s.io")  # asked by creating a review
AGENT_LENGTH = 120
NAME = web.RequestKey("name", str)  # of what a request created, where its URL does not say


def note(request: web.Request, who: Identity, wanted: Attributes, code: int, seconds: float) -> None:
    """Tell of one answered request. Reads are not told."""
    if wanted.reads or wanted.group in QUESTIONS:
        return
    routine = (wanted.resource in ROUTINE or wanted.subresource == "status") and (code < 400 or code == DISK_FULL)
    logger.log(
        logging.DEBUG if routine else logging.INFO,
        "API write",
        extra={
            "user": who.name,
            **({"impersonator": who.impersonator} if who.impersonator else {}),
            "verb": wanted.verb,
            "resource": f"{wanted.qualified}/{wanted.subresource}" if wanted.subresource else wanted.qualified,
            "object": "/".join(part for part in (wanted.namespace, wanted.name or request.get(NAME, "")) if part),
            "code": code,
            **({"dry_run": True} if request.query.get("dryRun") else {}),
            "milliseconds": round(seconds * 1000),
            "peer": request.remote or "",
            "agent": request.headers.get("User-Agent", "")[:AGENT_LENGTH],
        },
    )
