"""The controller as a process with shortened engine timeouts: ``python -m tests.support.short_timeouts run``."""

from __future__ import annotations

import click

from controller.backends.docker.engine.lane import EngineLimits
from controller.cli import run as command
from controller.cli.options import with_settings
from controller.settings import Settings

LIMITS = EngineLimits(ping_seconds=1, query_seconds=2, change_seconds=3, pull_seconds=3)


@click.group()
def main() -> None:
    """A subset of edge-controller."""


@main.command()
@with_settings()
def run(settings: Settings) -> None:
    """Run it as the real one does."""
    command.serve(settings, LIMITS)


if __name__ == "__main__":
    main()
