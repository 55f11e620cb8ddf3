"""An index of the Runtimes this process has seen: their identities and the host resources they need. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from controller.backends.base import Identity


class Key(NamedTuple):
    """Namespace and name of a Runtime."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Version(NamedTuple):
    """What a Runtime desires at some time: the object, by its uid, and the generation of its spec."""

    uid: str
    generation: int

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Version:
        """That of an object with this metadata."""
        return cls(metadata["uid"], metadata.get("generation", 0))


class Need(NamedTuple):
    """Something of the host that a Runtime depends on, by kind and name: a change of it needs a pass."""

    kind: str
    name: str


INTERFACE = "interface"


class KeyIndex:
    """Identities and keys of the Runtimes of this node; each pass updates it."""

    def __init__(self) -> None:
        self._keys: dict[Identity, Key] = {}
        self._identities: dict[Key, Identity] = {}
        self._needs: dict[Key, tuple[Need, ...]] = {}

    def remember(self, identity: Identity, key: Key, needs: Iterable[Need] = ()) -> None:
        """Add or update a Runtime."""
        self._keys[identity] = key
        self._identities[key] = identity
        self._needs[key] = tuple(needs)

    def forget(self, key: Key) -> None:
        """Remove a Runtime that no longer exists."""
        self._needs.pop(key, None)
        identity = self._identities.pop(key, None)
        # A successor may have taken over the identity meanwhile.
        if identity is not None and self._keys.get(identity) == key:
            del self._keys[identity]

    def key_of(self, identity: Identity) -> Key | None:
        """The Runtime with that identity; None if it was never seen."""
        return self._keys.get(identity)

    def identity_of(self, key: Key) -> Identity | None:
        """The identity of a Runtime that was seen and still exists."""
        return self._identities.get(key)

    def all(self) -> list[Key]:
        """All Runtimes that were seen and still exist."""
        return list(self._identities)

    def needing(self, kind: str) -> dict[Key, frozenset[str]]:
        """The Runtimes that need something of this kind, and its names."""
        named = {key: frozenset(need.name for need in needs if need.kind == kind) for key, needs in self._needs.items()}
        return {key: names for key, names in named.items() if names}
