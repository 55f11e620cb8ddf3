"""Inspects an engine for `edge-controller check`: version, supported limits, and containers with excess privileges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from controller import names
from controller.backends.docker.containers import confinement, labels
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine


class SurveyFindings(NamedTuple):
    """``bounds``: the limits that the host's kernel supports; ``unconfined``: containers with excess privileges.

    ``root``: the engine's data directory on the host, "" when unknown.
    """

    version: str
    api_version: str
    bounds: frozenset[str]
    unconfined: tuple[str, ...]
    root: str


# Fields of the engine (API reference: SystemInfo); a missing one means supported.
_LIMITS = {"memory": "MemoryLimit", "swap": "SwapLimit", "processes": "PidsLimit"}


async def bounds(engine: Engine) -> frozenset[str]:
    """The limits that the host's kernel supports: "memory", "swap", "processes". Raises Refusal and errors.Waiting."""
    return _bounds(await engine.call(lambda client: client.info()))


def _bounds(info: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, field in _LIMITS.items() if info.get(field, True))


async def root(engine: Engine) -> str:
    """The engine's data directory on the host, or "". Raises Refusal and errors.Waiting."""
    return _root(await engine.call(lambda client: client.info()))


def _root(info: Mapping[str, Any]) -> str:
    return str(info.get("DockerRootDir") or "")


async def take(engine: Engine) -> SurveyFindings:
    """Inspect an engine and the containers of all installations. Raises Refusal and errors.Waiting."""
    version = await engine.call(lambda client: client.version())
    chosen = labels.selector({names.MANAGED_LABEL: names.MANAGED_VALUE})
    entries = await engine.call(lambda client: client.containers(all=True, filters=chosen))
    ours = [entry["Id"] for entry in entries if names.INSTALL_LABEL in (entry.get("Labels") or {})]
    documents = [await _inspect(engine, found) for found in ours]
    unconfined = sorted(each["Name"].lstrip("/") for each in documents if confinement.excess(each["HostConfig"]))
    info = await engine.call(lambda client: client.info())
    return SurveyFindings(
        version=version.get("Version", ""),
        api_version=version.get("ApiVersion", ""),
        bounds=_bounds(info),
        unconfined=tuple(unconfined),
        root=_root(info),
    )


async def _inspect(engine: Engine, container: str) -> dict[str, Any]:
    """Inspect the container; one that was removed meanwhile counts as confined."""
    try:
        found: dict[str, Any] = await engine.call(lambda client: client.inspect_container(container))
    except failures.Refusal as refusal:
        if refusal.status != 404:
            raise
        return {"Name": "", "HostConfig": {"CapDrop": ["ALL"]}}
    return found
