"""Reconciles the links of a running container without a restart.

Works in small steps that can be interrupted and repeated: each starts from a fresh snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Collection, Sequence
from functools import partial

from controller.container_root import Process
from controller.network import link_plan
from controller.network.desired_interface import DesiredInterface
from controller.network.inside import Inside
from controller.network.link_changes import Delete
from controller.network.netns import Namespace
from controller.network.snapshot import Snapshot

# 12 s: on a busy machine the kernel takes seconds to remove the namespace of the previous run.
_LINGERING_LINK_ATTEMPTS, _LINGERING_LINK_SECONDS = 40, 0.3


async def reconcile_links(
    process: Process, wanted: Sequence[DesiredInterface], held_macs: Collection[str]
) -> list[str]:
    """Make the links in the container's namespace match ``wanted``; return a description of the drift.

    ``held_macs`` are the links that the engine created. The parents of all wanted links must exist.
    Raises errors.Retry(STEP_FAILED) with the kernel's error.
    """
    async with Namespace(process) as namespace:
        drift, in_place = await namespace.run(lambda inside: _repair(inside, wanted, held_macs))
        left = _LINGERING_LINK_ATTEMPTS
        while not in_place:
            await asyncio.sleep(_LINGERING_LINK_SECONDS)
            left -= 1
            in_place = await namespace.run(partial(_give_addresses, wanted=wanted, is_last=not left))
        return drift


async def remove_link(process: Process, mac_address: str) -> None:
    """Remove the macvlan link with this MAC address, if it exists."""
    async with Namespace(process) as namespace:
        if link := (await namespace.snapshot()).by_mac(mac_address):
            await namespace.apply([Delete(link.name)])


def _repair(inside: Inside, wanted: Sequence[DesiredInterface], held_macs: Collection[str]) -> tuple[list[str], bool]:
    """Arrange the links and give them their addresses; return the drift, and whether the addresses are in place."""
    drift = _arrange(inside, wanted, held_macs)
    return drift, not drift or _give_addresses(inside, wanted)


def _give_addresses(inside: Inside, wanted: Sequence[DesiredInterface], *, is_last: bool = False) -> bool:
    """Set addresses, state and route; return whether that was possible. Raises OSError."""
    try:
        inside.apply(link_plan.addressing(inside.snapshot(), wanted))
    except OSError as error:
        # A macvlan link cannot come up while another one on its parent has the same MAC address: the kernel is still
        # removing a link of the previous run.
        if error.errno != errno.EADDRINUSE or is_last:
            raise
        return False
    return True


def _arrange(inside: Inside, wanted: Sequence[DesiredInterface], held_macs: Collection[str]) -> list[str]:
    """Remove, create and rename links; return the drift. Raises OSError."""
    snapshot = inside.snapshot()
    surplus = link_plan.surplus(snapshot, wanted, held_macs)
    faults = link_plan.faults(snapshot, wanted)
    if not surplus and not faults:
        return []
    inside.apply(surplus)
    # A link that was just removed from a wrong parent is missing now.
    _create(inside, inside.snapshot() if surplus else snapshot, wanted)
    _rename(inside, inside.snapshot(), wanted)
    return [*faults.values(), *(f"{change.link} is not wanted" for change in surplus)]


def _create(inside: Inside, snapshot: Snapshot, wanted: Sequence[DesiredInterface]) -> None:
    for link in link_plan.missing(snapshot, wanted):
        # A link of the engine may have the desired name until the renames.
        inside.add_macvlan(link_plan.new_name(snapshot, link), link.parent, link.mac_address)


def _rename(inside: Inside, before: Snapshot, wanted: Sequence[DesiredInterface]) -> None:
    engine_names = link_plan.engine_names(before, wanted)
    try:
        inside.apply([*link_plan.renames(before, wanted), *engine_names])
    except OSError:
        # Kernels before 6.2 refuse to rename a link that is up, and those before 5.5 have no alternative names.
        inside.apply(link_plan.renames(inside.snapshot(), wanted, live=False))
        with contextlib.suppress(OSError):
            inside.apply(engine_names)
