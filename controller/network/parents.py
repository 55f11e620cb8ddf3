"""The parent interfaces of runtimes: which exist, and VLANs that we create when they are missing.

The name ``eth0.10`` means VLAN 10 on eth0. Interfaces created here carry our mark as alias, and only those are ever
removed. They get name and mark at once: what a crash leaves before that has a temporary name that only we use. Docker
also creates such interfaces when it starts (none survives a shutdown); those remain Docker's.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Collection, Hashable, Iterable
from pathlib import Path
from typing import NamedTuple

from controller import errors
from controller.api import reasons
from controller.network import host_links, interfaces
from controller.network.link_changes import AddVlan, Change, Delete, Introduce

log = logging.getLogger(__name__)

_VLAN_NAME = re.compile(r"(?P<lower>[^/\s]+)\.(?P<number>[1-9][0-9]{0,3})")
_LAST_VLAN = 4094  # IEEE 802.1Q: 4095 is reserved
# What the kernel says when it lacks 8021q: trying again would not load the module.
_NO_VLANS = re.compile("unknown device type|not supported", re.IGNORECASE)


class Vlan(NamedTuple):
    """A VLAN's lower interface and its VLAN id."""

    lower: str
    number: int

    def creation(self, name: str) -> Change:
        """Return the change that creates its link under a name."""
        return AddVlan(self.lower, name, self.number)


def vlan(name: str) -> Vlan | None:
    """Parse a VLAN interface's name; None when it is not the name of a VLAN."""
    match = _VLAN_NAME.fullmatch(name)
    if match is None or int(match["number"]) > _LAST_VLAN:
        return None
    return Vlan(match["lower"], int(match["number"]))


def with_lower_interfaces(names: Iterable[str]) -> set[str]:
    """Return the interfaces and the lower interfaces of those that are VLANs."""
    known = set(names)
    return known | {found.lower for found in map(vlan, known) if found}


class Parents:
    """``install_id`` marks our interfaces, ``creation`` creates one, and ``is_internal`` detects the bridges of
    internal networks, which are not LANs. A lock serialises all changes.
    """

    def __init__(
        self,
        install_id: str,
        creation: Callable[[Vlan, str], Change] = Vlan.creation,
        is_internal: Callable[[str], bool] = lambda _: False,
        sys_class_net: Path = Path("/sys/class/net"),
    ) -> None:
        self._mark = f"edge-controller {install_id}"
        self._temporary_prefix = f"edge{_hash(install_id)}"
        self._creation = creation
        self._is_internal = is_internal
        self._sys_class_net = sys_class_net
        self._users: dict[Hashable, frozenset[str]] = {}
        self._one_at_a_time = asyncio.Lock()

    def numbers(self, names: Iterable[str]) -> dict[str, int]:
        """Return the ifindex of each interface, 0 for one that does not exist now."""
        return {name: interfaces.index(name) for name in dict.fromkeys(names)}

    def unavailable(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the interfaces that do not exist and cannot be created now."""
        return tuple(name for name, number in self.numbers(names).items() if not number and not self._creatable(name))

    def note(self, user: Hashable, names: Iterable[str]) -> None:
        """Record which interfaces a runtime needs; an empty list removes the runtime."""
        self._users[user] = frozenset(names)
        if not self._users[user]:
            del self._users[user]

    async def provide(self, names: Iterable[str]) -> None:
        """Create the missing VLANs among these interfaces.

        Raises errors.Stalled(VLAN_UNSUPPORTED), errors.Stalled(SPEC_IMPOSSIBLE) for an internal network, or
        errors.Retry(STEP_FAILED) with the kernel's words.
        """
        asked = list(dict.fromkeys(names))
        await asyncio.to_thread(self._require_lans, asked)
        async with self._one_at_a_time:
            for name in asked:
                # Checked under the lock: a removal may have been about to delete what a check before it saw.
                if wanted := self._creatable(name):
                    await self._make(name, wanted)

    async def remove_unused(self, used: Collection[str] = ()) -> list[str]:
        """Remove our VLANs that are neither in ``used`` nor needed by a runtime; return their names."""
        async with self._one_at_a_time:
            needed = set(used).union(*self._users.values())
            unused = [name for name in await self.ours() if name not in needed]
            for name in unused:
                await host_links.apply([Delete(name)])
                log.info("Removed the VLAN interface %s", name)
            return unused

    async def ours(self) -> list[str]:
        """Return the VLANs that we created and that still exist."""
        return await asyncio.to_thread(self._marked)

    def _require_lans(self, names: Iterable[str]) -> None:
        if internal := next(filter(self._is_internal, names), ""):
            message = f"{internal} is the internal network of a runtime: choose a parentInterface on a LAN"
            raise errors.Stalled(reasons.SPEC_IMPOSSIBLE, message)

    def _creatable(self, name: str) -> Vlan | None:
        """Return the VLAN to create for this name; None when it exists, or its lower interface does not."""
        found = vlan(name)
        return found if found and not interfaces.index(name) and interfaces.index(found.lower) else None

    async def _make(self, name: str, wanted: Vlan) -> None:
        temporary = f"{self._temporary_prefix}{_hash(name)}"
        if interfaces.index(temporary):  # left by a crash, and the kernel allows one link for each VLAN id
            await host_links.apply([Delete(temporary)])
        try:
            await host_links.apply([self._creation(wanted, temporary)])
        except errors.Retry as error:
            if not _NO_VLANS.search(str(error)):
                raise
            message = (
                f"The kernel cannot create the VLAN {name}: load its module (modprobe 8021q) or create it yourself"
            )
            raise errors.Stalled(reasons.VLAN_UNSUPPORTED, message) from error
        # In one request to the kernel: without the mark nobody would ever remove it, and nobody else sets it up.
        await host_links.apply([Introduce(temporary, name, self._mark)])
        log.info("Created the VLAN interface %s", name)

    def _marked(self) -> list[str]:
        return sorted(path.parent.name for path in self._sys_class_net.glob("*/ifalias") if self._is_ours(path))

    def _is_ours(self, alias: Path) -> bool:
        if alias.parent.name.startswith(self._temporary_prefix):
            return True
        try:
            return alias.read_text().strip() == self._mark
        except OSError:  # removed in the meantime
            return False


def _hash(text: str) -> str:
    # Two of them and "edge" are within the 15 characters of a name (IFNAMSIZ).
    return hashlib.sha256(text.encode()).hexdigest()[:5]
