"""The control loops of the API server: as those of the machinery, with the failures of this API."""

from __future__ import annotations

from functools import partial

from controller import errors
from controller.apiserver import failures
from controller.machinery.controller import Controller, Reconcile

EXPECTED = (errors.EdgeError, failures.Failure, OSError)
FULL_SECONDS = 10.0  # until a loop tries again to write on a full disk


def control_loop(name: str, reconcile: Reconcile, *, period: float | None = None) -> Controller:
    """A controller that waits for disk space in silence: the disk itself logs once that it is full."""
    return Controller(name, partial(_unless_full, reconcile), period=period, expected=EXPECTED)


async def _unless_full(reconcile: Reconcile) -> float | None:
    try:
        return await reconcile()
    except errors.DiskFullError:
        return FULL_SECONDS
