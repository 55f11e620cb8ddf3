"""The facets of a runtime. Their order is that of messages, and of the steps of one plan."""

from __future__ import annotations

from controller.runtimes.facets import dedicated_interface, devices, image, limits, network, program
from controller.runtimes.facets.facet import Facet

FACETS: tuple[Facet, ...] = (
    network.FACET,
    dedicated_interface.FACET,
    devices.FACET,
    image.FACET,
    limits.FACET,
    program.FACET,
)
