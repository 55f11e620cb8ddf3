"""An index of the Runtimes this process has seen: their identities and the host resources they need. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from controller.backends.base import Identity


class Key(NamedTuple):
    """Namespace and name of a Runtime."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class KeyIndex:
    """Identities and keys of the Runtimes of this node; each pass updates it."""

    def __init__(self) -> None:
        self._keys: dict[Identity, Key] = {}
        self._identities: dict[Key, Identity] = {}
        self._parents: dict[Key, frozenset[str]] = {}
        self._with_devices: set[Key] = set()

    def remember(self, identity: Identity, key: Key, parents: Iterable[str] = (), *, devices: bool = False) -> None:
        """Add or update a Runtime. ``devices``: it has serial ports."""
        self._keys[identity] = key
        self._identities[key] = identity
        self._parents[key] = frozenset(parents)
        if devices:
            self._with_devices.add(key)
        else:
            self._with_devices.discard(key)

    def forget(self, key: Key) -> None:
        """Remove a Runtime that no longer exists."""
        self._parents.pop(key, None)
        self._with_devices.discard(key)
        identity = self._identities.pop(key, None)
        if identity is not None and self._keys.get(identity) == key:
            del self._keys[identity]

    def key_of(self, identity: Identity) -> Key | None:
        """The Runtime with that identity; None if it was never seen."""
        return self._keys.get(identity)

    def namesakes(self, identity: Identity) -> tuple[Key, ...]:
        """Runtimes of other namespaces with the same device id: on one engine their containers need the same name."""
        others = (one for one in self._keys if one != identity and one.device_id == identity.device_id)
        return tuple(self._keys[one] for one in others)

    def all(self) -> list[Key]:
        """All Runtimes that were seen and still exist."""
        return list(self._identities)

    def with_devices(self) -> list[Key]:
        """All Runtimes with serial ports."""
        return list(self._with_devices)

    def parents(self) -> dict[Key, frozenset[str]]:
        """The parent interfaces each Runtime needs."""
        return dict(self._parents)
