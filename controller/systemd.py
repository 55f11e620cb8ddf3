"""Reports the service's state to systemd: sd_notify(3) on the datagram socket in $NOTIFY_SOCKET.

Without systemd every call does nothing. A notification never raises: a failure is logged once.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)


class Notifier:
    """Sends notifications to the service manager named in the environment, if any.

    The unit's watchdog must be fed every ``watchdog_seconds``; 0: it has none.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address  # "@": an abstract socket
        self.watchdog_seconds = _watchdog_seconds(environment)
        self._failed = False
        self._was_stale = False

    def ready(self, status: str) -> None:
        """Report that the start is complete; ``status`` is shown by ``systemctl status``."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Set the line shown by ``systemctl status``."""
        self._send(f"STATUS={status}")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._send("STOPPING=1")

    async def feed_watchdog(self, stale: Callable[[], list[str]]) -> None:
        """Feed the unit's watchdog, if any, unless a loop is stale."""
        if not self.watchdog_seconds:
            return
        faults = stale()
        if not faults:
            self._send("WATCHDOG=1")
        elif not self._was_stale:
            logger.error("No longer feeding the watchdog: %s", "; ".join(faults))
        self._was_stale = bool(faults)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            # Non-blocking: while systemd does not read its socket, a full queue must not stop the event loop.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notices:
                notices.connect(self._address)
                notices.send(message.encode())
        except OSError as error:
            if not self._failed:
                logger.warning("Cannot notify systemd ($NOTIFY_SOCKET): %s", error)
            self._failed = True


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """Return the unit's WatchdogSec if it applies to this process (sd_watchdog_enabled(3)), else 0."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    return int(usec) / 1e6 if usec.isdecimal() and pid in {"", str(os.getpid())} else 0.0
