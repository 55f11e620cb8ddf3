"""Commands about the containers on the engine, with or without a running controller: ``logs``, ``purge``."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from controller import errors
from controller.backends.base import Identity
from controller.backends.docker import parts
from controller.backends.docker.backend import DockerBackend
from controller.cli.options import with_settings
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import from_cluster
from controller.nodes.cluster import decommission
from controller.settings import Settings
from controller.state import State


@click.command()
@click.argument("runtime")
@click.option("-f", "--follow", is_flag=True, help="Follow the output.")
@click.option("--tail", default=200, show_default=True, type=click.IntRange(0, 10_000), help="Lines to start with.")
@with_settings("state_dir", "docker_host", "namespace", "internal_pool")
def logs(settings: Settings, runtime: str, tail: int, *, follow: bool) -> None:
    """Print the output of RUNTIME, the device id of a runtime on this host.

    \b
    Examples:
      edge-controller logs plc-1
      edge-controller logs plc-1 --tail 20 -f
      edge-controller logs plc-1 --namespace plant-b
    """
    asyncio.run(_print_logs(settings, runtime, tail, follow=follow))


async def _print_logs(settings: Settings, runtime: str, tail: int, *, follow: bool) -> None:
    install_id = State(settings.state_dir).known_install_id()
    if not install_id:
        raise errors.SettingError(
            f"EDGE_STATE_DIR {settings.state_dir} belongs to no installation; give the controller's state directory"
        )
    backend = _backend(settings, install_id)
    try:
        identity = Identity(install_id, settings.namespace, runtime)
        async for chunk in await backend.logs(identity, tail=tail, follow=follow):
            # Bytes, because a program may print invalid text; flushed, so that --follow also works in a pipe.
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    finally:
        backend.close()


@click.command()
@click.option("--yes", is_flag=True, help="Remove; without it, only list what would be removed.")
@click.option("--volumes", is_flag=True, help="Also remove the volumes, with all data of the runtimes.")
@click.option("--node", help="Instead, release the Runtimes of a cluster node that is permanently lost.")
@with_settings("state_dir", "docker_host", "internal_pool", "namespace")
def purge(settings: Settings, node: str | None, *, yes: bool, volumes: bool) -> None:
    """Stop and remove the containers and networks of this installation; stop the controller first.

    Volumes, with the data of the runtimes, are kept unless --volumes is given. Nothing else on the engine is touched.

    With --node, delete the Runtimes of an absent node from the cluster that KUBECONFIG names. Use it only for a host
    that is lost: one that comes back would start its containers again, with the same addresses.

    \b
    Examples:
      edge-controller purge                  # lists what would go
      edge-controller purge --yes
      edge-controller purge --yes --volumes
      KUBECONFIG=~/.kube/config edge-controller purge --node plant-3 --yes
    """
    if node:
        _list(asyncio.run(_lost(node, settings.namespace, yes=yes)), done=yes)
        return
    state = State(settings.state_dir)
    install_id = state.known_install_id()
    if not install_id:
        click.echo(f"nothing to remove: {settings.state_dir} belongs to no installation")
        return
    if not yes:
        _list(asyncio.run(_belongings(settings, install_id, volumes=volumes)))
        return
    # Refuses while the controller runs, which would create the containers again.
    with state.lock():
        for line in asyncio.run(_purge(settings, install_id, volumes=volumes)) or ["there was nothing to remove"]:
            click.echo(line)


def _list(list_objects: list[str], *, done: bool = False) -> None:
    for line in list_objects:
        click.echo(line)
    if done:
        return
    click.echo("run again with --yes to remove these" if list_objects else "there is nothing to remove")


async def _lost(node: str, namespace: str, *, yes: bool) -> list[str]:
    api = ApiClient(await from_cluster(os.environ))
    try:
        return await (decommission.release(api, namespace, node) if yes else decommission.list_objects(api, node))
    finally:
        await api.close()


async def _belongings(settings: Settings, install_id: str, *, volumes: bool) -> list[str]:
    backend = _backend(settings, install_id)
    try:
        return await backend.list_objects(volumes=volumes)
    finally:
        backend.close()


async def _purge(settings: Settings, install_id: str, *, volumes: bool) -> list[str]:
    backend = _backend(settings, install_id)
    try:
        return await backend.purge(volumes=volumes)
    finally:
        backend.close()


def _backend(settings: Settings, install_id: str) -> DockerBackend:
    return DockerBackend(settings.docker_host, install_id, settings.internal_pool, parts.read_only(settings.state_dir))
