"""``edge-controller cluster``: the commands of the Helm chart's Jobs; people may run them too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import click

from controller import errors
from controller.chart import status as installation
from controller.chart import uninstall
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import from_cluster


@click.group()
def cluster() -> None:
    """Inspect an installation in a cluster, or clean up after one.

    Uses the cluster that this process runs in, else the one that KUBECONFIG names.

    \b
    Examples:
      edge-controller cluster status --nodes --leader edge --wait 120
      edge-controller cluster release --release-namespace edge --release edge-controller
      edge-controller cluster purge
    """


@cluster.command()
@click.option("--nodes", is_flag=True, help="Expect node agents.")
@click.option("--leader", default="", metavar="NAMESPACE", help="Expect a leader, with its Lease in this namespace.")
@click.option("--wait", "seconds", default=0, type=click.IntRange(0, 3600), help="Seconds to wait until ready.")
def status(seconds: int, leader: str, *, nodes: bool) -> None:
    """Check the installation, with exit status 1 if anything does not work. `helm test` runs it."""
    problems: list[str] = []

    async def check(api: ApiClient) -> None:
        problems.extend(await installation.wait_until_healthy(api, seconds, installation.Expected(nodes, leader)))

    _run(check)
    if problems:
        raise errors.SettingError("; ".join(problems))
    click.echo("the installation works")


_wait = click.option(
    "--wait", "seconds", default=0, type=click.IntRange(0, 3600), help="Seconds to wait at most; 0: no limit."
)


@cluster.command()
@click.option("--release-namespace", required=True, help="Namespace of the release's pods.")
@click.option("--release", "name", required=True, help="Name of the release.")
@_wait
def release(release_namespace: str, name: str, seconds: int) -> None:
    """Remove the controller's finalizer from every Runtime. Stops nothing; runs after `helm uninstall`."""
    _run(lambda api: uninstall.release(api, release_namespace, name, click.echo, seconds))


@cluster.command()
@_wait
def purge(seconds: int) -> None:
    """Delete EVERY Runtime of the cluster and wait until the containers are gone; needs a running controller."""
    _run(lambda api: uninstall.purge(api, click.echo, seconds))


def _run(work: Callable[[ApiClient], Awaitable[None]]) -> None:
    async def connected() -> None:
        api = ApiClient(await from_cluster(os.environ))
        try:
            await work(api)
        finally:
            await api.close()

    asyncio.run(connected())
