"""Starts the controller again whenever it ends, as a service manager does, and reports ends that nobody caused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.soak.findings import Findings
from tests.support.edge_host import EdgeHost

RESTART_SECONDS = 0.1
LAST_LINES = 5


class Supervisor:
    """``wrapper`` precedes the command. ``kill()`` may come at any moment, also while the process starts."""

    def __init__(self, edge: EdgeHost, wrapper: Sequence[str], findings: Findings) -> None:
        self._edge = edge
        self._wrapper = ("setpriv", "--pdeathsig", "KILL", *wrapper)
        self._findings = findings
        self._killed = False

    @property
    def pid(self) -> int:
        """The pid of the controller, which may have ended just now."""
        assert self._edge.process is not None
        return self._edge.process.pid

    async def run(self) -> None:
        """Keep it running until cancelled."""
        try:
            while True:
                await self._edge.start(connected=False, wrapper=self._wrapper)
                assert self._edge.process is not None
                status = await self._edge.process.wait()
                if not self._killed:
                    last = " | ".join(self._edge.log_text().splitlines()[-LAST_LINES:])
                    self._findings.fault(f"the controller ended by itself with status {status}: {last[-1500:]}")
                self._killed = False
                await asyncio.sleep(RESTART_SECONDS)
        finally:
            await self._edge.close()

    def kill(self) -> None:
        """Kill -9."""
        process = self._edge.process
        if process is not None and process.returncode is None:
            self._killed = True
            process.kill()
            self._findings.count("SIGKILLs of the controller")
