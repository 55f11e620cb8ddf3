"""What a container may do on its host: as it is made, and what one of an earlier version may do beyond that. Pure.

Nodes of devices are made from outside (devices/nodes.py), so no runtime needs the capability for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Above the host's own services (0) and far above the engine (-500): a runtime takes nothing along that it needs
# itself. Not higher, or its programs would end before a host program that uses more than half of the memory.
OOM_SCORE = 500

_UNNEEDED = "MKNOD"
_CONSOLES = "c 4:*"


def at_creation(device_rules: list[str], pids_limit: int) -> dict[str, Any]:
    """The part of the HostConfig that confines a new container (API reference: HostConfig).

    Engines leave a limit out, with a warning, where the host's kernel has none.
    """
    return {
        "CapDrop": [_UNNEEDED],
        "DeviceCgroupRules": device_rules,
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": pids_limit,
        "OomScoreAdj": OOM_SCORE,
    }


def excess(host_config: Mapping[str, Any], *, has_ports: bool = True) -> str:
    """What a container may do that a new one may not, "" for nothing; capabilities and rules are never taken back.

    ``has_ports``: whether its spec asks for a serial port. One that it gave up lost its node; a program that kept a
    link or a descriptor of that can open it still.
    """
    dropped = {str(name).upper().removeprefix("CAP_") for name in host_config.get("CapDrop") or ()}
    rules = [str(rule) for rule in host_config.get("DeviceCgroupRules") or ()]
    found = [
        *(["make device nodes"] if not dropped & {_UNNEEDED, "ALL"} else []),
        *(["open serial devices, of which its spec has none"] if rules and not has_ports else []),
        *(["open the host's consoles"] if any(rule.startswith(_CONSOLES) for rule in rules) else []),
    ]
    return " and ".join(found)
