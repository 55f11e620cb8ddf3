"""The privileges of a new container, and the excess privileges of one that an earlier version created. Pure.

The controller creates device nodes from outside (devices/nodes.py), so no runtime needs the capability for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Above the host's own services (0) and far above the engine (-500), so that the kernel kills a runtime before what it
# depends on. Not higher, or it would be killed before a host program that uses more than half of the memory.
OOM_SCORE = 500

_UNNEEDED = "MKNOD"
_CONSOLES = "c 4:*"


def at_creation(device_rules: list[str], pids_limit: int) -> dict[str, Any]:
    """The part of the HostConfig that confines a new container (API reference: HostConfig).

    Engines drop a limit, with a warning, when the host's kernel does not support it.
    """
    return {
        "CapDrop": [_UNNEEDED],
        "DeviceCgroupRules": device_rules,
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": pids_limit,
        "OomScoreAdj": OOM_SCORE,
    }


def excess(host_config: Mapping[str, Any], *, has_ports: bool = True) -> str:
    """Describe what a container may do that a new one may not, "" for nothing.

    The engine cannot revoke capabilities and rules of an existing container. ``has_ports``: whether its spec has a
    serial port. We delete the node of a removed port, but a program that kept a link or a descriptor can still open it.
    """
    dropped = {str(name).upper().removeprefix("CAP_") for name in host_config.get("CapDrop") or ()}
    rules = [str(rule) for rule in host_config.get("DeviceCgroupRules") or ()]
    found = [
        *(["make device nodes"] if not dropped & {_UNNEEDED, "ALL"} else []),
        *(["open serial devices, although its spec has none"] if rules and not has_ports else []),
        *(["open the host's consoles"] if any(rule.startswith(_CONSOLES) for rule in rules) else []),
    ]
    return " and ".join(found)
