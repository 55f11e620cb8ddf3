"""Looks up containers of runtimes by name and labels. Read-only.

A container of another installation, or without our labels, is not ours even if its name matches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller import boottime, errors
from controller.api import reasons
from controller.backends.base import Identity, Target
from controller.backends.docker.containers import labels
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.networking.endpoint_plan import Endpoint
from controller.container_root import Process


@dataclass(frozen=True)
class Container:
    """A container as the engine inspects it (API reference: ContainerInspect).

    ``started_seconds`` is the start of its first process in seconds since boot, from the kernel; None without one.
    """

    document: dict[str, Any] = field(repr=False)
    started_seconds: float | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.document["Id"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["Name"]).lstrip("/")

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.document["Config"].get("Labels") or {}

    @property
    def state(self) -> dict[str, Any]:
        """Its state (API reference: ContainerState)."""
        return self.document["State"]  # type: ignore[no-any-return]

    @property
    def folder(self) -> Path | None:
        """Its directory on the host, None when the engine does not report it."""
        file = self.document.get("ResolvConfPath")
        return Path(file).parent if file else None

    @property
    def host_config(self) -> dict[str, Any]:
        """Its configuration on the host (API reference: HostConfig)."""
        return self.document["HostConfig"]  # type: ignore[no-any-return]

    @property
    def running(self) -> bool:
        """Whether its program runs."""
        # A paused program keeps its process, its links and its addresses.
        return self.state["Status"] in ("running", "paused")

    @property
    def pid(self) -> int:
        """The host's pid of its first process; 0 when it does not run."""
        return int(self.state.get("Pid") or 0)

    @property
    def process(self) -> Process:
        """Its first process on the host, which the user must verify; pid 0 when it does not run."""
        return Process(self.pid, self.id)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Its endpoints, one per configured network."""
        return tuple(self._endpoint(name, settings) for name, settings in self._networks.items())

    def address_on(self, network: str) -> str:
        """Its address on the network, "" without one."""
        return str((self._networks.get(network) or {}).get("IPAddress") or "")

    @property
    def _networks(self) -> dict[str, dict[str, Any]]:
        return self.document["NetworkSettings"].get("Networks") or {}

    def _endpoint(self, network: str, settings: dict[str, Any]) -> Endpoint:
        configured = (settings.get("IPAMConfig") or {}).get("IPv4Address", "")
        # A stopped container reports the MAC address that was requested last, not the one it will get.
        mac_address = settings.get("MacAddress", "") if self.running else ""
        return Endpoint(network, settings.get("NetworkID", ""), configured, mac_address)

    def describe(self) -> str:
        """Describe it for a message about a foreign container."""
        return f"container {self.id[:12]} of image {self.document['Config'].get('Image', '?')}"


class Containers:
    """Looks containers up."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def named(self, name: str) -> Container | None:
        """The container with this name, ours or not, or None."""
        found = await self._inspect(name)
        # The engine also accepts a prefix of an id.
        return found if found and found.name == name else None

    async def current(self, identity: Identity) -> Container | None:
        """The runtime's container, or None."""
        return await self._of(identity, identity.device_id)

    async def require(self, identity: Identity) -> Container:
        """The runtime's container. Raises errors.Retry when it is gone."""
        found = await self.current(identity)
        if found is None:
            raise errors.Retry(reasons.STEP_FAILED, "The container is gone; recreating it")
        return found

    async def previous(self, identity: Identity) -> Container | None:
        """The old container that a replacement keeps, or None."""
        return await self._of(identity, labels.previous_name(identity))

    async def renamed(self, target: Target) -> Container | None:
        """The runtime's container when somebody renamed it; found by its id, because anybody can copy labels."""
        if not target.container_id:
            return None
        found = await self._inspect(target.container_id)
        if found is None or found.id != target.container_id or not is_of(found, target.identity):
            return None
        return None if labels.is_name_of(found.name, target.identity) else found

    async def of_install(self, install_id: str, **filters: Any) -> list[tuple[Identity, dict[str, Any]]]:
        """The installation's containers, running or not, with their entries in the engine's list."""
        chosen = labels.selector(labels.of_install(install_id)) | filters
        entries = await self._engine.call(lambda client: client.containers(all=True, filters=chosen))
        found = ((labels.identity_of(entry.get("Labels"), install_id), entry) for entry in entries)
        return [(identity, entry) for identity, entry in found if identity and _has_name_of(entry, identity)]

    async def can_limit_memory(self) -> bool:
        """Whether the host's kernel can limit their memory."""
        return "memory" in (await self._engine.info()).bounds

    async def _inspect(self, reference: str) -> Container | None:
        return await self._engine.find(lambda client: _inspected(client.inspect_container(reference)))

    async def _of(self, identity: Identity, name: str) -> Container | None:
        found = await self.named(name)
        return found if found is not None and is_of(found, identity) else None


def _inspected(document: dict[str, Any]) -> Container:
    # In the engine's thread, as it reads a file of /proc.
    pid = int(document["State"].get("Pid") or 0)
    return Container(document, boottime.process_start(pid) if pid else None)


def is_of(container: Container, identity: Identity) -> bool:
    """Whether the labels identify it as the runtime's."""
    return labels.identity_of(container.labels, identity.install_id) == identity


def _has_name_of(entry: dict[str, Any], identity: Identity) -> bool:
    return any(labels.is_name_of(name.lstrip("/"), identity) for name in entry.get("Names") or ())
