"""Changes of links as requests to the kernel (rtnetlink(7)), and how it is asked to make them; see address_changes.py.

A change names its link, whose number is looked up only when the change is made: one before it may have renamed it.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.network import addresses, rtnetlink
from controller.network import rtnetlink_types as types
from controller.network.netlink_attributes import attribute, nested
from controller.network.rtnetlink import Message


@dataclass(frozen=True)
class Change(ABC):
    """One change of the link with this name; its text is the command of ip(8) that does the same."""

    link: str

    @abstractmethod
    def request(self, number: int) -> Message:
        """Return the request; ``number`` is the link's ifindex."""


@dataclass(frozen=True)
class Delete(Change):
    """Delete the link."""

    def __str__(self) -> str:
        return f"link delete dev {self.link}"

    def request(self, number: int) -> Message:
        return Message(types.DELETE_LINK, 0, _link(number))


@dataclass(frozen=True)
class Rename(Change):
    """Give the link another name."""

    name: str

    def __str__(self) -> str:
        return f"link set dev {self.link} name {self.name}"

    def request(self, number: int) -> Message:
        return Message(types.SET_LINK, 0, _link(number) + _name(self.name))


@dataclass(frozen=True)
class SetState(Change):
    """Bring the link up or down."""

    up: bool

    def __str__(self) -> str:
        return f"link set dev {self.link} {'up' if self.up else 'down'}"

    def request(self, number: int) -> Message:
        flags = types.LINK_UP if self.up else 0
        return Message(types.SET_LINK, 0, types.LINK_HEADER.pack(0, 0, number, flags, types.LINK_UP))


@dataclass(frozen=True)
class SetMtu(Change):
    """Set the largest size of a packet in bytes."""

    mtu: int

    def __str__(self) -> str:
        return f"link set dev {self.link} mtu {self.mtu}"

    def request(self, number: int) -> Message:
        return Message(types.SET_LINK, 0, _link(number) + attribute(types.LINK_MTU, _number(self.mtu)))


@dataclass(frozen=True)
class Introduce(Change):
    """Give the link its name and its alias and bring it up."""

    name: str
    alias: str

    def __str__(self) -> str:
        return f"link set dev {self.link} name {self.name} alias {self.alias} up"

    def request(self, number: int) -> Message:
        header = types.LINK_HEADER.pack(0, 0, number, types.LINK_UP, types.LINK_UP)
        return Message(types.SET_LINK, 0, header + _name(self.name) + attribute(types.LINK_ALIAS, self.alias.encode()))


@dataclass(frozen=True)
class AddAltname(Change):
    """Give the link an alternative name (ip-link(8))."""

    name: str

    def __str__(self) -> str:
        return f"link property add dev {self.link} altname {self.name}"

    def request(self, number: int) -> Message:
        return Message(types.NEW_LINK_PROPERTY, types.CREATE | types.EXCLUDE, _link(number) + _altname(self.name))


@dataclass(frozen=True)
class DeleteAltname(Change):
    """Take an alternative name from the link."""

    name: str

    def __str__(self) -> str:
        return f"link property del dev {self.link} altname {self.name}"

    def request(self, number: int) -> Message:
        return Message(types.DELETE_LINK_PROPERTY, 0, _link(number) + _altname(self.name))


@dataclass(frozen=True)
class MoveIn(Change):
    """Move the link into the network namespace of the calling thread, under a free name; it is down afterwards."""

    name: str

    def __str__(self) -> str:
        return f"link set dev {self.link} netns NAMESPACE name {self.name}"

    def request(self, number: int) -> Message:
        return Message(types.SET_LINK, 0, _link(number) + _here() + _name(self.name))


@dataclass(frozen=True)
class MoveOut(Change):
    """Move the link into this process's own network namespace, the host's, under a free name; it is down afterwards."""

    name: str

    def __str__(self) -> str:
        return f"link set dev {self.link} netns {os.getpid()} name {self.name}"

    def request(self, number: int) -> Message:
        return Message(types.SET_LINK, 0, _link(number) + _namespace_of(os.getpid()) + _name(self.name))


@dataclass(frozen=True)
class AddMacvlan(Change):
    """Create a macvlan link on this one, in the network namespace of the calling thread."""

    name: str
    mac_address: str

    def __str__(self) -> str:
        return f"link add name {self.name} link {self.link} address {self.mac_address} type macvlan mode bridge"

    def request(self, number: int) -> Message:
        mode = attribute(types.MACVLAN_MODE, _number(types.MACVLAN_BRIDGE))
        parts = (
            _name(self.name),
            _here(),
            attribute(types.LINK_LOWER, _number(number)),
            attribute(types.LINK_MAC, addresses.mac_bytes(self.mac_address)),
            nested(types.LINK_INFO, attribute(types.INFO_KIND, b"macvlan"), nested(types.INFO_DATA, mode)),
        )
        return Message(types.NEW_LINK, types.CREATE | types.EXCLUDE, _link(0) + b"".join(parts))


@dataclass(frozen=True)
class AddVlan(Change):
    """Create a link for the VLAN with this id on this one."""

    name: str
    vlan: int

    def __str__(self) -> str:
        return f"link add name {self.name} link {self.link} type vlan id {self.vlan}"

    def request(self, number: int) -> Message:
        data = nested(types.INFO_DATA, attribute(types.VLAN_ID, self.vlan.to_bytes(2, sys.byteorder)))
        parts = (
            _name(self.name),
            attribute(types.LINK_LOWER, _number(number)),
            nested(types.LINK_INFO, attribute(types.INFO_KIND, b"vlan"), data),
        )
        return Message(types.NEW_LINK, types.CREATE | types.EXCLUDE, _link(0) + b"".join(parts))


def apply(kernel: socket.socket, changes: Iterable[Change], given_up: Callable[[], bool]) -> None:
    """Have the kernel make the changes in order, up to the first failure, or until the caller has given up.

    The links are those of the socket's network namespace. Raises OSError.
    """
    for change in changes:
        if given_up():
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
        try:
            rtnetlink.change(kernel, change.request(rtnetlink.index(kernel, change.link)))
        except OSError as error:
            raise OSError(error.errno, f"ip {change}: {error.strerror}") from error


def _link(number: int) -> bytes:
    return types.LINK_HEADER.pack(0, 0, number, 0, 0)


def _name(name: str) -> bytes:
    return attribute(types.LINK_NAME, name.encode() + b"\0")


def _altname(name: str) -> bytes:
    return nested(types.LINK_PROPERTIES, attribute(types.PROPERTY_ALTNAME, name.encode() + b"\0"))


def _here() -> bytes:
    return _namespace_of(threading.get_native_id())


def _namespace_of(process: int) -> bytes:
    return attribute(types.LINK_NAMESPACE_OF, _number(process))


def _number(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)
