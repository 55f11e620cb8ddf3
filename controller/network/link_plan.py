"""Finds drift in a runtime's links and plans the changes that repair it while the runtime runs.

Pure: works on a snapshot of the network namespace and the desired links. A link is identified by its MAC address,
because engines assign different names at every start. A link is only taken down if it cannot be repaired otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Interface

from controller.network import route_plan
from controller.network.address_changes import DeleteAddress, SetAddress
from controller.network.desired_interface import DesiredInterface
from controller.network.link_changes import AddAltname, Change, Delete, DeleteAltname, Rename, SetState
from controller.network.snapshot import Link, Snapshot

# With eight digits exactly the 15 characters that the kernel allows (IFNAMSIZ).
_TEMPORARY = "edgetmp"
_ENGINE_NAME = re.compile(r"eth[0-9]+")


def faults(snapshot: Snapshot, wanted: Sequence[DesiredInterface]) -> dict[str, str]:
    """Return the drift by name of the wanted link; a link without drift has no entry."""
    found = {link.name: fault for link in wanted if (fault := _fault(link, snapshot.by_mac(link.mac_address)))}
    return found | route_plan.faults(snapshot, wanted, found)


def _fault(wanted: DesiredInterface, link: Link | None) -> str:
    if link is None:
        return f"{wanted.name} does not exist in the runtime"
    if _is_elsewhere(wanted, link):
        return f"{wanted.name} is not on {wanted.parent}"
    if link.name != wanted.name:
        return f"{wanted.name} is named {link.name}"
    if not wanted.pending and link.addresses != _desired_addresses(wanted):
        return _address_fault(wanted, link)
    return "" if link.up else f"{wanted.name} is down"


def _address_fault(wanted: DesiredInterface, link: Link) -> str:
    held = ", ".join(map(str, link.addresses))
    if not held:
        return f"{wanted.name} does not have its address {wanted.address} yet"
    return f"{wanted.name} has {held} instead of {wanted.address or 'none'}"


def _desired_addresses(wanted: DesiredInterface) -> tuple[IPv4Interface, ...]:
    return (wanted.address,) if wanted.address else ()


def missing(snapshot: Snapshot, wanted: Sequence[DesiredInterface]) -> list[DesiredInterface]:
    """Return the links to be created."""
    return [link for link in wanted if snapshot.by_mac(link.mac_address) is None]


def surplus(snapshot: Snapshot, wanted: Sequence[DesiredInterface], held_macs: Collection[str]) -> list[Delete]:
    """Return the changes that remove macvlan links which are neither wanted there nor owned by the engine."""
    desired_links = {link.mac_address: link for link in wanted}
    held = {mac.lower() for mac in held_macs}
    ours = [link for link in snapshot.links if link.kind == "macvlan" and link.mac_address not in held]
    gone = [
        link
        for link in ours
        if (desired := desired_links.get(link.mac_address)) is None or _is_elsewhere(desired, link)
    ]
    return [Delete(link.name) for link in gone]


def _is_elsewhere(wanted: DesiredInterface, link: Link) -> bool:
    """Return whether the link is on another parent; a link with an unknown parent is accepted."""
    return 0 not in (link.parent_index, wanted.parent_index) and link.parent_index != wanted.parent_index


def new_name(snapshot: Snapshot, wanted: DesiredInterface) -> str:
    """Return the name under which to create a link: its own, or a temporary one while another link has that."""
    taken = {name for link in snapshot.links for name in (link.name, *link.alternative_names)}
    return wanted.name if wanted.name not in taken else temporary_name(wanted.mac_address)


def temporary_name(mac_address: str) -> str:
    """Return a name for the link that no other link uses."""
    return f"{_TEMPORARY}{mac_address.replace(':', '')[-8:]}"


def renames(snapshot: Snapshot, wanted: Sequence[DesiredInterface], *, live: bool = True) -> list[Change]:
    """Return the changes that give every link its wanted name; a foreign link with that name gets a free one.

    Kernels before 6.2 rename a link only while it is down: ``live=False`` takes it down for that moment.
    """
    # First free all names, then assign them: two links may swap their names.
    targets = {link.name for link in wanted}
    # An altname is a name, too: the kernel would refuse the renames below.
    cleared = [
        DeleteAltname(link.name, alias)
        for link in snapshot.links
        for alias in link.alternative_names
        if alias in targets
    ]
    ours = {link.mac_address: link for desired in wanted if (link := snapshot.by_mac(desired.mac_address))}
    foreign_links = [link for link in snapshot.links if link.name in targets and link.mac_address not in ours]
    free = _free_names(targets | {link.name for link in snapshot.links})
    aside = [_rename(link.name, next(free), live=live) for link in foreign_links]
    into_place = []
    for desired in wanted:
        link = ours.get(desired.mac_address)
        if link is None or link.name == desired.name:
            continue
        passing = temporary_name(desired.mac_address)
        # Links that we created beside one with their name, and those that a crash left half-way, have it already.
        if link.name != passing:
            aside.append(_rename(link.name, passing, live=live))
        into_place.append(_rename(passing, desired.name, live=live))
    return [*cleared, *(change for group in (*aside, *into_place) for change in group)]


def engine_names(before: Snapshot, wanted: Sequence[DesiredInterface]) -> list[Change]:
    """Return the changes that keep the engine's name of a renamed link as an altname (kernel 5.5, ip-link(8)).

    The engine looks its links up by name to remove them when the runtime ends. A link it does not find keeps its MAC
    address in use for a moment, and the next start may fail.
    """
    taken = {link.name for link in wanted}
    found = [(desired, link) for desired in wanted if (link := before.by_mac(desired.mac_address))]
    renamed = [(desired, link) for desired, link in found if desired.name != link.name and link.name not in taken]
    return [AddAltname(desired.name, link.name) for desired, link in renamed if _ENGINE_NAME.fullmatch(link.name)]


def _rename(old: str, new: str, *, live: bool) -> list[Change]:
    rename = Rename(old, new)
    if live:
        return [rename]
    # Going down drops the link's routes; addressing() sets them afterwards.
    return [SetState(old, up=False), rename, SetState(new, up=True)]


def _free_names(taken: Collection[str]) -> Iterator[str]:
    return (name for number in range(1000) if (name := f"internal{number}") not in taken)


def addressing(snapshot: Snapshot, wanted: Sequence[DesiredInterface]) -> list[Change]:
    """Return the changes for addresses, state and routes of links that already have their names."""
    changes: list[Change] = []
    for desired in wanted:
        if link := snapshot.by_mac(desired.mac_address):
            changes += _addresses(desired, link)
    removals = route_plan.removals(snapshot, wanted)
    return [*removals, *changes, *route_plan.additions(snapshot, wanted, changed=bool(changes))]


def _addresses(wanted: DesiredInterface, link: Link) -> list[Change]:
    changes: list[Change] = []
    if not wanted.pending:
        gone = [address for address in link.addresses if address != wanted.address]
        changes += [DeleteAddress(wanted.name, address) for address in gone]
        # The kernel removes a secondary address with its primary one: set the wanted one again.
        if wanted.address and (gone or wanted.address not in link.addresses):
            changes.append(SetAddress(wanted.name, wanted.address))
    if not link.up:
        changes.append(SetState(wanted.name, up=True))
    return changes
