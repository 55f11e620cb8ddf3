"""Group, version and resource names of the project's kinds."""

from __future__ import annotations

from controller import names
from controller.machinery.kinds import Kind

RUNTIMES = Kind(names.GROUP, names.VERSION, "runtimes", "Runtime", namespaced=True)
RUNTIME_COMMANDS = Kind(names.GROUP, names.VERSION, "runtimecommands", "RuntimeCommand", namespaced=True)
EDGE_NODES = Kind(names.GROUP, names.VERSION, "edgenodes", "EdgeNode", namespaced=False)
