"""The DHCP client of one interface: a socket, a state machine and a timer in the event loop, for one container run.

It has no task: packets, deadlines and the end of the container's first process call it. A closed client is never
reopened; the next run of the container gets a new one.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from controller.boottime import now
from controller.container_root import Process
from controller.network.arp.arp_socket import close_in_thread
from controller.network.dhcp import messages
from controller.network.dhcp.leases import Lease
from controller.network.dhcp.machine import Action, Declined, LeaseProblem, Machine
from controller.network.dhcp.sockets import LinkSocket, open_link

_PASSING = {errno.ENETDOWN, errno.ENOBUFS, errno.EAGAIN, errno.EINTR}

log = logging.getLogger(__name__)


class Link(NamedTuple):
    """A link inside a container: the container's first process, the name inside, and the ifindex of the parent."""

    process: Process
    name: str
    parent_index: int


class _Report(NamedTuple):
    """What the owner knows."""

    lease: Lease | None
    problem: LeaseProblem | None
    declined: Declined | None


class LeaseClient:
    """Obtains and renews the lease of one link.

    ``renewed`` is called when ``machine.lease`` was renewed as expected; ``changed`` after every other change of it or
    of ``machine.problem``, and when the client closes itself.
    """

    def __init__(
        self,
        link: Link,
        machine: Machine,
        changed: Callable[[], None],
        renewed: Callable[[], None],
        clock: Callable[[], float] = now,
    ) -> None:
        self.link = link
        self.machine = machine
        self._changed = changed
        self._renewed = renewed
        self._clock = clock
        self._socket: LinkSocket | None = None
        self._process = -1
        self._timer: asyncio.TimerHandle | None = None
        self._reported = _Report(machine.lease, machine.problem, machine.declined)

    @property
    def alive(self) -> bool:
        """Return whether the client is running."""
        return self._socket is not None

    async def start(self) -> None:
        """Start requesting a lease. Raises OSError when the link or the container is gone."""
        # Opened before the socket, so that the end of the container in between is noticed.
        self._process = os.pidfd_open(self.link.process.pid)
        opening = asyncio.ensure_future(asyncio.to_thread(open_link, self.link.process, self.link.name))
        try:
            # Shielded: the thread opens the socket in any case, and its result must not get lost.
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            self.close()
            opening.add_done_callback(_discard)  # the thread cannot be stopped
            raise
        except BaseException:
            self.close()
            raise
        if self._process < 0:  # closed in the meantime
            close_in_thread(opened)
            return
        self._socket = opened
        loop = asyncio.get_running_loop()
        # A pidfd becomes readable when its process ends (pidfd_open(2)).
        loop.add_reader(self._process, self._ended)
        loop.add_reader(opened.fileno(), self._readable)
        loop.add_reader(opened.arp.fileno(), self._heard)
        self._act(self.machine.start(self._clock(), opened.held))

    def close(self) -> None:
        """Close the socket, and with it the container's namespace. The address stays on the link."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            loop.remove_reader(self._socket.fileno())
            loop.remove_reader(self._socket.arp.fileno())
            close_in_thread(self._socket)
            self._socket = None
        if self._process >= 0:
            loop.remove_reader(self._process)
            os.close(self._process)
            self._process = -1

    def _ended(self) -> None:
        """Close when the container ends: an open socket would keep its links alive."""
        self.close()
        self._changed()

    def _readable(self) -> None:
        if self._socket is None:
            return
        try:
            received = self._socket.receive()
        except OSError as error:
            self._lost(error)
            return
        for data, sender in received:
            if message := messages.decode(data):
                self._act(self.machine.received(message, sender, self._clock()))

    def _heard(self) -> None:
        for claim in self._socket.arp.receive() if self._socket is not None else ():
            self._act(self.machine.claimed(claim.address, claim.mac, self._clock()))

    def _due(self) -> None:
        self._act(self.machine.elapsed(self._clock()))

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self._send(action)
        # Sending may have closed the client.
        if self._socket is None:
            return
        self._set_timer()
        self._report(_Report(self.machine.lease, self.machine.problem, self.machine.declined))

    def _report(self, report: _Report) -> None:
        before, self._reported = self._reported, report
        if report == before:
            return
        lease = report.lease
        is_renewal = lease is not None and lease.renews(before.lease) and report.problem == before.problem
        (self._renewed if is_renewal else self._changed)()

    def _send(self, what: Action) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(what)
        except OSError as error:
            # A link that is down or a full queue is only a lost packet, which is sent again.
            if error.errno not in _PASSING:
                self._lost(error)

    def _lost(self, error: OSError) -> None:
        log.info("Lost the link %s of process %s: %s", self.link.name, self.link.process.pid, error.strerror)
        self.close()
        self._changed()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = self.machine.deadline - self._clock()
        if delay != float("inf"):
            self._timer = asyncio.get_running_loop().call_later(max(delay, 0.0), self._due)


def _discard(opening: asyncio.Future[LinkSocket]) -> None:
    """Close a socket that was opened after the cancellation."""
    if not opening.cancelled() and opening.exception() is None:
        close_in_thread(opening.result())
