"""The capabilities of an engine by its API version: the only place that knows how engines differ.

Measured on engines 20.10 (API 1.41), 28.5 (1.51) and 29 (1.56); the thresholds between are from Docker's changelogs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """Features that change how a container is created.

    ``several_endpoints``: one create accepts several networks, each with its MAC address; without it a container has
    one MAC address, for the network of its NetworkMode, and keeps it when that network is reconnected.
    ``parent_shared``: several macvlan networks may use one parent interface.
    ``interface_names``: we can name an endpoint's interface, and GwPriority selects the default route.
    ``connect_pins_mac``: connecting an existing container to a network accepts a MAC address.
    """

    api_version: str
    several_endpoints: bool
    parent_shared: bool
    interface_names: bool
    connect_pins_mac: bool

    @classmethod
    def of(cls, api_version: str) -> Capabilities:
        """The capabilities of an API version such as ``1.41``."""
        number = tuple(int(part) for part in api_version.split("."))
        return cls(
            api_version=api_version,
            several_endpoints=number >= (1, 44),
            parent_shared=number >= (1, 46),
            interface_names=number >= (1, 48),
            connect_pins_mac=number >= (1, 54),
        )
