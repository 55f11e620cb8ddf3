"""Commands about backups of the embedded API: ``backup``, ``restore``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from controller.apiserver.storage import archive
from controller.cli import running
from controller.cli.options import with_settings
from controller.settings import Settings
from controller.state import INSTALL_ID, NODE_NAME, State


@click.command()
@click.argument("target", required=False, metavar="[FILE]", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--list", "listed", is_flag=True, help="List the existing backups, newest first.")
@with_settings("state_dir")
def backup(settings: Settings, target: Path | None, listed: bool) -> None:
    """Back up the embedded API to FILE, or next to the daily backups. The controller may keep running.

    A backup holds every object, the install id and the node's name. Certificates are issued again after a restore.

    \b
    Examples:
      edge-controller backup
      edge-controller backup /media/usb/plant-7.db
      edge-controller backup --list
    """
    kept = archive.Archive(settings.state_dir, time.time)
    if listed:
        for found in kept.backups.all():
            taken = datetime.fromtimestamp(found.taken, UTC)
            click.echo(f"{taken:%Y-%m-%d %H:%M:%S}Z  {found.path.stat().st_size:>10}  {found.path}")
        return
    click.echo(kept.back_up(target, partial(running.backup, settings.state_dir)))


@click.command()
@click.argument("source", required=False, metavar="[FILE]", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--latest", is_flag=True, help="Restore the newest valid backup.")
@with_settings("state_dir")
def restore(settings: Settings, source: Path | None, latest: bool) -> None:
    """Replace the database of the embedded API with a backup. Stop the controller first.

    The replaced database is kept next to the new one. On a new host the backup brings the install id, and with it the
    MAC addresses of the runtimes.

    \b
    Examples:
      systemctl stop edge-controller && edge-controller restore --latest && systemctl start edge-controller
      edge-controller restore /media/usb/plant-7.db
    """
    if bool(source) == latest:
        raise click.UsageError("give a FILE or --latest")
    state = State(settings.state_dir)

    def adopt(facts: Mapping[str, str]) -> None:
        # What exists wins: labels and MAC addresses of this host's containers are derived from it.
        for name in (INSTALL_ID, NODE_NAME):
            if name in facts and not (state.directory / name).exists():
                state.write(name, facts[name])

    # A running controller holds the lock and would go on writing to the replaced database.
    with state.lock():
        restored = archive.Archive(settings.state_dir, time.time).restore(source, adopt)
    click.echo(f"restored {restored.source}, written by version {restored.facts.get('version', 'unknown')}")
    if restored.replaced:
        click.echo(f"the replaced database is kept as {restored.replaced}")
    click.echo("start the controller: systemctl start edge-controller")
