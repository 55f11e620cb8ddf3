"""The rights of containers: those of a new one, and what an existing one may do beyond them or lacks.

The controller creates device nodes from outside (devices/nodes.py), so no runtime needs the capability for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from controller import names
from controller.api import reasons
from controller.backends.base import Target
from controller.backends.docker.containers import labels
from controller.backends.docker.containers.inventory import Container
from controller.backends.docker.containers.observation import Facet
from controller.backends.docker.engine.capabilities import EngineInfo
from controller.backends.docker.engine.client import Engine
from controller.backends.observation import Observed

# Above the host's own services (0) and far above the engine (-500), so that the kernel kills a runtime before what it
# depends on. Not higher, or it would be killed before a host program that uses more than half of the memory.
OOM_SCORE = 500

_UNNEEDED = "MKNOD"
_CONSOLES = "c 4:*"


class SurveyFindings(NamedTuple):
    """An engine, and the names of the containers of all installations with excess rights."""

    engine: EngineInfo
    unconfined: tuple[str, ...]


class RightsFacet(Facet):
    """The rights of all runtimes."""

    async def observe(self, target: Target, container: Container | None, observed: Observed) -> Observed:
        """Add warnings about real-time options that the host refused, and about excess rights."""
        if container is None:
            return observed
        return replace(observed, warnings=(*observed.warnings, *_warnings(container, target)))


def _warnings(container: Container, target: Target) -> Iterator[tuple[str, str]]:
    if target.spec.realtime.enabled and not labels.provenance(container.labels).realtime:
        yield reasons.REALTIME_UNAVAILABLE, reasons.meaning(reasons.REALTIME_UNAVAILABLE)
    if found := excess(container.host_config, has_ports=bool(target.spec.serial_ports)):
        remedy = f"`docker rm -f {container.name}` recreates it without them now, else the next replacement does"
        yield reasons.EXCESS_RIGHTS, f"The container has excess rights, it may {found}: {remedy}"


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


async def survey(engine: Engine) -> SurveyFindings:
    """Inspect an engine for `edge-controller check`. Raises Refusal and errors.Waiting."""
    chosen = labels.selector({names.MANAGED_LABEL: names.MANAGED_VALUE})
    entries = await engine.call(lambda client: client.containers(all=True, filters=chosen))
    ours = [entry["Id"] for entry in entries if names.INSTALL_LABEL in (entry.get("Labels") or {})]
    documents = [await engine.find(partial(_inspect, container=found)) for found in ours]
    unconfined = sorted(each["Name"].lstrip("/") for each in documents if each and excess(each["HostConfig"]))
    return SurveyFindings(await engine.info(), tuple(unconfined))


def _inspect(client: Any, container: str) -> dict[str, Any]:
    return client.inspect_container(container)  # type: ignore[no-any-return]
