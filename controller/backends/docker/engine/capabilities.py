"""What an engine can do, by its API version: the one place that knows how engines differ.

Measured on engines 20.10 (API 1.41), 28.5 (1.51) and 29 (1.56); the versions between are those of Docker's changelogs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """Features that change how a runtime is built.

    ``several_endpoints``: one create takes several networks, each with its MAC address; before, a container has one
    MAC address for the network of its NetworkMode, and keeps it when that network is connected again.
    ``parent_shared``: several macvlan networks may use one parent interface.
    ``interface_names``: an endpoint's interface gets a name of ours, and GwPriority chooses the default route.
    ``connect_pins_mac``: connecting a network to a container that exists takes a MAC address.
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
