"""Control loops of the API server: what they log of failures, and that they go on."""

from __future__ import annotations

import asyncio
import logging

import pytest

from controller import errors
from controller.apiserver import failures
from controller.apiserver.controllers import control_loop
from tests.support import virtual_time

FULL = errors.DiskFullError("the disk is full", code=507, reason="DiskFull")


@pytest.mark.parametrize(
    ("error", "records"),
    [
        (FULL, []),
        (OSError("read-only"), ["Failed to work: read-only"]),
        (failures.bad_request("odd"), ["Failed to work: odd"]),
    ],
)
def test_a_loop_survives_failures(error: Exception, records: list[str], caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def reconcile() -> None:
        nonlocal runs
        runs += 1
        raise error

    async def main() -> None:
        loop = asyncio.create_task(control_loop.control_loop("work", reconcile).run())
        await asyncio.sleep(10 * control_loop.FULL_SECONDS)
        loop.cancel()

    virtual_time.run(main())
    assert runs > 3
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == records
