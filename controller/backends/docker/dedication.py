"""The host interface that a runtime has to itself: whether it may have it, and moving it in and back.

Between a spec and the lending of interfaces, which knows neither Docker nor a Runtime.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from controller import errors
from controller.backends.base import Identity, Target
from controller.backends.docker.networks import Networks
from controller.container_root import Process
from controller.network.interfaces import HostInterface
from controller.network.lending import Lending
from controller.resources import reasons


class Dedicated(NamedTuple):
    """How the interface of a runtime stands: what is not in order, and why that cannot be mended now."""

    fault: str = ""
    obstacle: tuple[str, str] | None = None  # reason and message
    lent: bool = False  # the host lacks an interface for this runtime


class Dedication:
    """``snapshot`` gives all interfaces of the host, virtual ones too."""

    def __init__(self, lending: Lending, networks: Networks, snapshot: Callable[[], Sequence[HostInterface]]) -> None:
        self._lending = lending
        self._networks = networks
        self._snapshot = snapshot

    async def standing(self, target: Target, process: Process) -> Dedicated:
        """How it stands; ``process`` is the container's first one, number 0 while it does not run."""
        name, loans = target.spec.dedicated_interface, await self._lending.loans()
        ours = {loan.name for loan in loans.values() if loan.owner == _owner(target.identity)}
        obstacle = await self._obstacle(target, name) if name and name not in ours else None
        if not process.pid:
            return Dedicated(obstacle=obstacle, lent=bool(ours))
        if name and not await self._lending.stands(name, process):
            return Dedicated(obstacle[1] if obstacle else f"{name} is not in the runtime", obstacle, bool(ours))
        surplus = ours - {name}
        return Dedicated(f"{', '.join(surplus)} is not asked for any more" if surplus else "", None, bool(ours))

    async def place(self, target: Target, process: Process) -> None:
        """Move what the spec asks for into the running container, and all else back.

        Raises errors.Stalled(DEDICATED_REFUSED) and errors.Waiting(PARENT_MISSING) when it may not or cannot be.
        """
        name, owner = target.spec.dedicated_interface, _owner(target.identity)
        await self._lending.take_back(owner, but=name)
        if name is None:
            return
        loan = (await self._lending.loans()).get(name)
        if (loan is None or loan.owner != owner) and (obstacle := await self._obstacle(target, name)):
            raise (errors.Waiting if obstacle[0] == reasons.PARENT_MISSING else errors.Stalled)(*obstacle)
        await self._lending.lend(name, owner, process)

    async def catch_up(self, whose: Identity, process: Process) -> None:
        """Hold what is in the container, and give the host back what an earlier run had; number 0: none runs.

        Before links are mended: a namespace that is held keeps all its links, and their MAC addresses, busy.
        """
        await self._lending.catch_up(_owner(whose), process)

    async def take_back(self, whose: Identity) -> None:
        """Give the host back what a runtime has that does not run any more."""
        await self._lending.take_back(_owner(whose))

    async def take_all_back(self) -> None:
        """Give the host back everything."""
        for loan in (await self._lending.loans()).values():
            await self._lending.take_back(loan.owner)

    async def _obstacle(self, target: Target, name: str) -> tuple[str, str] | None:
        """Why the interface may not be moved now."""
        if loan := (await self._lending.loans()).get(name):
            return _refused(f"{name} is dedicated to {loan.owner[1]}: give another one, or take it from there")
        if target.rival:
            return _refused(target.rival)
        found = {interface.name: interface for interface in await asyncio.to_thread(self._snapshot)}
        interface = found.get(name)
        if interface is None:
            return reasons.PARENT_MISSING, f"The host has no interface {name} now: plug it in"
        if use := _use(interface):
            return _refused(use)
        parents = {wished.parent_interface for wished in target.spec.interfaces}
        parents |= {network.parent for network in await self._networks.all()}
        if any(parent == name or parent.startswith(f"{name}.") for parent in parents):
            return _refused(f"{name} is the parent of runtimes on its LAN: dedicate an interface that has none")
        return None


def _use(interface: HostInterface) -> str:
    """Why the host itself cannot do without it, "" when it can."""
    name = interface.name
    if interface.kind == "wifi":
        return f"{name} is Wi-Fi: field buses need a wired interface"
    if interface.gateway:
        return f"The host's default route goes over {name}: the host would lose its network"
    if interface.used_by:
        return f"{', '.join(interface.used_by)} of the host stands on {name}: remove it, or give another one"
    return ""


def _owner(whose: Identity) -> tuple[str, str]:
    return whose.namespace, whose.device_id


def _refused(message: str) -> tuple[str, str]:
    return reasons.DEDICATED_REFUSED, message
