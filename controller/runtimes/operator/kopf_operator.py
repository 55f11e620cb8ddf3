"""Runs kopf's operator with our handlers and settings. Imports kopf, so import this only in kopf's thread."""

from __future__ import annotations

import kopf

from controller.machinery.client import Endpoint
from controller.runtimes.operator import handlers, settings


async def serve(endpoint: Endpoint, submit: handlers.Submit, node: str, field_selector: str) -> None:
    """Watch the Runtimes until cancelled. Raises whatever error ends kopf."""
    await kopf.operator(
        registry=handlers.make_registry(endpoint, submit),
        settings=settings.make(node, field_selector),
        clusterwide=True,
        standalone=True,
    )
