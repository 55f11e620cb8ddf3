"""What a controller may leave behind: counted when it is calm, and compared."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from tests.bench import process
from tests.soak.site import Site
from tests.support import engine_traces
from tests.support.command import run

MANAGED = {"label": "app.kubernetes.io/managed-by=edge-controller"}
DATABASE = ("objects.db", "backups", "metrics")  # these may grow
MORE_DESCRIPTORS, MORE_THREADS = 10, 10  # pools that had not been used before


@dataclass(frozen=True)
class Inventory:
    """What there is outside of the process."""

    containers: frozenset[str]
    networks: frozenset[str]
    links: frozenset[str]
    files: frozenset[str]


@dataclass(frozen=True)
class Weight:
    """What the process holds."""

    resident_bytes: float
    descriptors: int
    threads: int
    namespaces: int  # network namespaces that it holds


async def inventory(site: Site) -> Inventory:
    """Look at the engine, the host and the state directory."""
    containers = await site.ask(lambda client: client.containers(all=True, filters=MANAGED))
    networks = await site.ask(lambda client: client.networks(filters=MANAGED))
    return await asyncio.to_thread(
        lambda: Inventory(
            frozenset(container["Names"][0].lstrip("/") for container in containers),
            frozenset(network["Name"] for network in networks),
            frozenset(engine_traces.bridges(site.engine.root) | set(_links_on(site.lan.parent))),
            frozenset(_files(site.edge.state)),
        )
    )


def weight(site: Site) -> Weight:
    """Look at the process."""
    used = process.usage(site.controller.pid)
    pid = site.controller.pid
    return Weight(process.resident_bytes(pid), used.descriptors, used.threads, _held_namespaces(pid))


def left_behind(before: Inventory, after: Inventory) -> list[str]:
    """What is there now and was not, as findings."""
    kinds = ("containers", "networks", "links", "files")
    more = {what: sorted(getattr(after, what) - getattr(before, what)) for what in kinds}
    return [f"{what} left behind: {', '.join(names)}" for what, names in more.items() if names]


def grown(before: Weight, after: Weight) -> list[str]:
    """Descriptors, threads and namespaces beyond what pools may add."""
    found = []
    if (more := after.descriptors - before.descriptors) > MORE_DESCRIPTORS:
        found.append(f"{more} more descriptors")
    if (more := after.threads - before.threads) > MORE_THREADS:
        found.append(f"{more} more threads")
    if (more := after.namespaces - before.namespaces) > 0:
        found.append(f"{more} more network namespaces held")
    return found


def _links_on(parent: str) -> list[str]:
    """The host's links with this parent interface; those of runtimes are in their namespaces."""
    return [link["ifname"] for link in json.loads(run("ip", "-j", "link").stdout) if link.get("link") == parent]


def _held_namespaces(pid: int) -> int:
    # Not those that Docker keeps: it forgets to remove some when it is stopped meanwhile.
    found = 0
    for descriptor in Path("/proc", str(pid), "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += str(descriptor.readlink()).startswith("net:")
    return found


def _files(state: Path) -> list[str]:
    paths = (path.relative_to(state) for path in state.rglob("*") if path.is_file())
    return [str(path) for path in paths if not any(part.startswith(DATABASE) for part in path.parts)]
