"""What an engine and its host can do; the capabilities by API version are the only place that knows how engines differ.

Measured on engines 20.10 (API 1.41), 28.5 (1.51) and 29 (1.56); the thresholds between are from Docker's changelogs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

# Fields of the engine (API reference: SystemInfo); a missing one means supported.
_LIMITS = {"memory": "MemoryLimit", "swap": "SwapLimit", "processes": "PidsLimit"}


@dataclass(frozen=True)
class Capabilities:
    """Features that change how a container is created.

    ``several_endpoints``: one create accepts several networks, each with its MAC address; without it a container has
    one MAC address, for the network of its NetworkMode, and keeps it when that network is reconnected.
    ``parent_shared``: several macvlan networks may use one parent interface.
    ``interface_names``: we can name an endpoint's interface, and GwPriority selects the default route.
    ``connect_pins_mac``: connecting an existing container to a network accepts a MAC address.
    ``image_origins``: an inspected image names the repositories that it was pulled from.
    """

    api_version: str
    several_endpoints: bool
    parent_shared: bool
    interface_names: bool
    connect_pins_mac: bool
    image_origins: bool

    @classmethod
    def of(cls, api_version: str) -> Capabilities:
        """The capabilities of an API version such as ``1.41``."""
        number = tuple(int(part) for part in api_version.split("."))
        # The first engines with API 1.44, 1.46 and 1.48 are 25, 27 and 28; 1.53 and 1.54 are those of 29.
        return cls(
            api_version=api_version,
            several_endpoints=number >= (1, 44),
            parent_shared=number >= (1, 46),
            interface_names=number >= (1, 48),
            image_origins=number >= (1, 53),
            connect_pins_mac=number >= (1, 54),
        )


class EngineInfo(NamedTuple):
    """An engine and its host. ``bounds``: which limits the host's kernel supports, of memory, swap and processes.

    ``root``: the engine's data directory on the host, "" when unknown. ``is_rootless``: whether a user runs it, in a
    network namespace that has none of the host's interfaces.
    """

    version: str
    api_version: str
    bounds: frozenset[str]
    root: str
    is_rootless: bool = False

    @classmethod
    def of(cls, api_version: str, info: Mapping[str, Any]) -> EngineInfo:
        """From the engine's own description (API reference: SystemInfo)."""
        bounds = frozenset(name for name, field in _LIMITS.items() if info.get(field, True))
        return cls(
            version=str(info.get("ServerVersion") or ""),
            api_version=api_version,
            bounds=bounds,
            root=str(info.get("DockerRootDir") or ""),
            is_rootless="name=rootless" in (info.get("SecurityOptions") or ()),
        )
