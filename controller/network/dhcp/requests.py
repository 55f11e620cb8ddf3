"""The messages of a client: which address, server and options belong in which one (RFC 2131 table 5). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from controller.network.dhcp import messages
from controller.network.dhcp.leases import Lease
from controller.network.dhcp.messages import Message

BROADCAST = IPv4Address("255.255.255.255")


@dataclass(frozen=True)
class Client:
    """The client: its hardware address, which is also the client id, and its host name."""

    mac: bytes
    host_name: str


@dataclass(frozen=True)
class Send:
    """A message to send, as a broadcast or to the server's hardware address."""

    message: Message
    destination: IPv4Address = BROADCAST
    mac: bytes = b"\xff" * 6


@dataclass(frozen=True)
class Ask:
    """Ask the LAN by ARP whether somebody has the address."""

    address: IPv4Address


@dataclass(frozen=True)
class Exchange:
    """The messages of a client in one exchange with servers; ``began`` is a time of the caller's clock."""

    client: Client
    transaction: int
    began: float

    def discover(self, now: float, remembered: Lease | None) -> Send:
        """Ask all servers for an address, preferably the remembered one."""
        return Send(self._message(messages.DISCOVER, now, _requested(remembered)))

    def accept(self, now: float, offer: Message) -> Send:
        """Request what a server has offered."""
        assert offer.server is not None  # noqa: S101 - the machine takes no other offer
        options = {messages.REQUESTED_ADDRESS: offer.your_address.packed, messages.SERVER: offer.server.packed}
        return Send(self._message(messages.REQUEST, now, options))

    def confirm(self, now: float, remembered: Lease | None) -> Send:
        """Request the remembered address from all servers (INIT-REBOOT)."""
        return Send(self._message(messages.REQUEST, now, _requested(remembered)))

    def renew(self, now: float, lease: Lease, *, by_its_server: bool) -> Send:
        """Request the address that is in use, from its server or from all of them."""
        message = self._message(messages.REQUEST, now, {}, lease.address.ip)
        # A packet socket does no ARP, so a renewal goes to the MAC address that the last answer came from.
        return Send(message, lease.server, lease.server_mac) if by_its_server and lease.server_mac else Send(message)

    def decline(self, lease: Lease) -> Send:
        """Tell the server that somebody else has the address."""
        # By table 5 without a host name and without seconds.
        options = {**_requested(lease), messages.SERVER: lease.server.packed, **self._client_id}
        return Send(Message(messages.DECLINE, self.transaction, self.client.mac, options=options))

    @property
    def _client_id(self) -> dict[int, bytes]:
        # Type 1 is Ethernet (RFC 2132 section 9.14).
        return {messages.CLIENT_ID: b"\x01" + self.client.mac}

    def _message(
        self, kind: int, now: float, options: dict[int, bytes], used: IPv4Address = messages.UNSPECIFIED
    ) -> Message:
        more = self._client_id
        if self.client.host_name:
            more[messages.HOST_NAME] = self.client.host_name.encode()
        seconds = int(now - self.began)
        return Message(kind, self.transaction, self.client.mac, used, seconds=seconds, options=more | options)


def _requested(remembered: Lease | None) -> dict[int, bytes]:
    return {messages.REQUESTED_ADDRESS: remembered.address.packed[:4]} if remembered else {}
