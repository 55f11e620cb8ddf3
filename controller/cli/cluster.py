"""``edge-controller cluster``: what the Helm chart's Jobs run in a cluster; a person may run them too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import click

from controller import errors
from controller.chart import status as installation
from controller.chart import uninstall
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import of_cluster


@click.group()
def cluster() -> None:
    """Look at an installation in a cluster, or clean up after one.

    The cluster is the one that this runs in, else the one that KUBECONFIG names.

    \b
    Examples:
      edge-controller cluster status --nodes --leader edge --wait 120
      edge-controller cluster release --release-namespace edge --release edge-controller
      edge-controller cluster purge
    """


@cluster.command()
@click.option("--nodes", is_flag=True, help="Node agents are expected.")
@click.option("--leader", default="", metavar="NAMESPACE", help="A leader is expected, with its Lease there.")
@click.option("--wait", "seconds", default=0, type=click.IntRange(0, 3600), help="Seconds until it must work.")
def status(seconds: int, leader: str, *, nodes: bool) -> None:
    """Tell whether all works; ends with 1 when something does not. `helm test` runs it."""
    faults: list[str] = []

    async def ask(api: ApiClient) -> None:
        faults.extend(await installation.until_well(api, seconds, installation.Expected(nodes, leader)))

    _run(ask)
    if faults:
        raise errors.SettingError("; ".join(faults))
    click.echo("the installation works")


@cluster.command()
@click.option("--release-namespace", required=True, help="Where the pods of the release were.")
@click.option("--release", "name", required=True, help="Name of the release.")
def release(release_namespace: str, name: str) -> None:
    """Take the controller's finalizer off every Runtime; runs after `helm uninstall`. Stops nothing."""
    _run(lambda api: uninstall.release(api, release_namespace, name, click.echo))


@cluster.command()
def purge() -> None:
    """Delete EVERY Runtime of the cluster and wait until its container is gone; the controller must run."""
    _run(lambda api: uninstall.purge(api, click.echo))


def _run(work: Callable[[ApiClient], Awaitable[None]]) -> None:
    async def connected() -> None:
        api = ApiClient(of_cluster(os.environ))
        try:
            await work(api)
        finally:
            await api.close()

    asyncio.run(connected())
