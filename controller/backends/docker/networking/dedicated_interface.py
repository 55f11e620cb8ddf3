"""Checks whether a runtime may have its dedicated host interface, and moves it into the container and back.

Connects specs with the interface passthrough, which knows neither Docker nor Runtimes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_interface

from controller import errors
from controller.api import reasons
from controller.backends.base import Identity, Target
from controller.backends.docker.containers.inventory import Container
from controller.backends.docker.containers.observation import Facet
from controller.backends.docker.networking.networks import Networks
from controller.backends.observation import Observed, ObservedDedicated
from controller.container_root import NONE, Process
from controller.network import host_links
from controller.network.interface_passthrough import InterfacePassthrough
from controller.network.interfaces import HostInterface

SHOWN = 4


class DedicatedInterfaces(Facet):
    """``snapshot`` returns all interfaces of the host, including virtual ones.

    With ``addressed``, a runtime may take an interface with addresses of the host. Otherwise only one that had it
    before may, so that a host which configures a returned interface keeps no runtime from its own.
    """

    def __init__(
        self,
        passthrough: InterfacePassthrough,
        networks: Networks,
        snapshot: Callable[[], Sequence[HostInterface]],
        *,
        addressed: bool,
    ) -> None:
        self._passthrough = passthrough
        self._networks = networks
        self._snapshot = snapshot
        self._addressed = addressed
        self._had: dict[tuple[str, str], str] = {}  # the interface that a runtime had before, by owner

    async def observe(self, target: Target, container: Container | None, observed: Observed) -> Observed:
        """Add its fault, and why that cannot be repaired now."""
        try:
            had = observed.made_from.dedicated_interface if observed.made_from else None
            dedicated, blockers = await self._observe(target, container.process if container else NONE, had)
        except errors.Retry:
            return observed  # it exited between two queries; its event triggers the next observation
        return replace(observed, dedicated=dedicated, start_blockers=(*observed.start_blockers, *blockers))

    async def _observe(
        self, target: Target, process: Process, had: str | None
    ) -> tuple[ObservedDedicated, list[tuple[str, str]]]:
        """The state and the blockers; ``process`` is the container's first one, pid 0 while it does not run.

        ``had`` is the interface of the spec that the container was created from.
        """
        name, passthroughs = target.spec.dedicated_interface, await self._passthrough.passthroughs()
        ours = {
            passthrough.name for passthrough in passthroughs.values() if passthrough.owner == _owner(target.identity)
        }
        # A spec that asks for a stop takes full effect without the interface.
        applied = target.applied and target.spec.desired_state == "Running"
        if name and (applied or name in {had, *ours}):
            self._had[_owner(target.identity)] = name
        blocker = await self._blocker(target, name) if name and name not in ours else None
        blockers, passed_through = [blocker] if blocker else [], bool(ours)
        if not process.pid:
            return ObservedDedicated(passed_through=passed_through), blockers
        if name and not await self._passthrough.in_place(name, process):
            fault = blocker[1] if blocker else f"{name} is not in the runtime"
            return ObservedDedicated(fault, passed_through), blockers
        surplus = ours - {name}
        fault = f"{', '.join(surplus)} is no longer in the spec" if surplus else ""
        return ObservedDedicated(fault, passed_through), []

    async def place(self, target: Target, process: Process) -> None:
        """Move the spec's interface into the running container, and any other back to the host.

        Raises errors.Stalled(DEDICATED_REFUSED) and errors.Waiting(PARENT_MISSING).
        """
        name, owner = target.spec.dedicated_interface, _owner(target.identity)
        await self._passthrough.return_to_host(owner, excluding=name)
        if name is None:
            return
        passthrough = (await self._passthrough.passthroughs()).get(name)
        if (passthrough is None or passthrough.owner != owner) and (blocker := await self._blocker(target, name)):
            raise reasons.error(*blocker)
        await self._passthrough.move_in(name, owner, process)

    async def recover(self, identity: Identity, process: Process) -> None:
        """Take hold of the interface in the container, and return that of an earlier run; pid 0: none runs.

        Must precede the repair of links: a namespace that we hold keeps all its links and their MAC addresses in use.
        """
        await self._passthrough.recover(_owner(identity), process)

    async def return_to_host(self, identity: Identity) -> None:
        """Return the interface of a stopped runtime to the host."""
        await self._passthrough.return_to_host(_owner(identity))

    async def take_all_back(self) -> None:
        """Return all interfaces to the host."""
        for passthrough in (await self._passthrough.passthroughs()).values():
            await self._passthrough.return_to_host(passthrough.owner)

    async def _blocker(self, target: Target, name: str) -> tuple[str, str] | None:
        """Reason and message why the interface cannot be moved now."""
        if passthrough := (await self._passthrough.passthroughs()).get(name):
            return _refused(f"{name} is dedicated to {passthrough.owner[1]}: set another one, or remove it there")
        # From the API: an interface with a lease has no Docker network that would show below that its parent is in use.
        if target.rival:
            return _refused(target.rival)
        found = {interface.name: interface for interface in await asyncio.to_thread(self._snapshot)}
        interface = found.get(name)
        if interface is None:
            return reasons.PARENT_MISSING, f"The host has no interface {name} now: plug it in"
        if use := _use(interface):
            return _refused(use)
        parents = {declared.parent_interface for declared in target.spec.interfaces}
        parents |= await self._networks.used_parents()
        if any(parent == name or parent.startswith(f"{name}.") for parent in parents):
            return _refused(f"{name} is the parent interface of runtimes: dedicate another interface")
        return _refused(loss) if (loss := await self._addresses(target, name)) else None

    async def _addresses(self, target: Target, name: str) -> str:
        """Why the host would miss the addresses of the interface, "" if it would not, or had to do so before."""
        if self._addressed or self._had.get(_owner(target.identity)) == name:
            return ""
        configured = [ip_interface(address) for address, _ in (await host_links.configuration(name)).addresses]
        found = [str(address) for address in configured if not address.ip.is_link_local]
        if not found:
            return ""
        return (
            f"{name} has addresses of the host ({', '.join(found[:SHOWN])}): remove them, dedicate another interface, "
            "or set EDGE_DEDICATE_ADDRESSED=true"
        )


def _use(interface: HostInterface) -> str:
    """Why the host itself needs the interface, "" when it does not."""
    name = interface.name
    if interface.kind == "wifi":
        return f"{name} is Wi-Fi: field buses need a wired interface"
    if interface.gateway:
        return f"The host's default route uses {name}: the host would lose its network"
    if interface.used_by:
        return f"The host's {', '.join(interface.used_by)} uses {name}: remove it, or dedicate another interface"
    return ""


def _owner(identity: Identity) -> tuple[str, str]:
    return identity.namespace, identity.device_id


def _refused(message: str) -> tuple[str, str]:
    return reasons.DEDICATED_REFUSED, message
