"""Reads and changes the network of a container in a thread that is inside its network namespace; see netns.py."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from controller.network import link_changes, rtnetlink, snapshot
from controller.network.link_changes import AddMacvlan, Change
from controller.network.snapshot import Snapshot


class Inside:
    """The network namespace of the calling thread. Every method blocks briefly and raises OSError.

    ``host`` is a socket that was opened on the host and so belongs to its network. Once the caller has ``given_up``,
    no more changes are made.
    """

    def __init__(self, host: socket.socket, given_up: Callable[[], bool]) -> None:
        self._host = host
        self._given_up = given_up

    def snapshot(self) -> Snapshot:
        """Return the links with their IPv4 addresses, and the default routes."""
        return snapshot.take()

    def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes in order, up to the first failure."""
        if changes:
            with rtnetlink.connect() as kernel:
                link_changes.apply(kernel, changes, self._given_up)

    def apply_on_host(self, change: Change) -> None:
        """Make a change of a link of the host."""
        link_changes.apply(self._host, [change], self._given_up)

    def add_macvlan(self, name: str, parent: str, mac_address: str) -> None:
        """Create a macvlan link on the host's ``parent``, directly in here."""
        # Created inside at once: a crash between creation and move would leave it on the host.
        self.apply_on_host(AddMacvlan(parent, name, mac_address))
