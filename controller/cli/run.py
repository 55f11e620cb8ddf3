"""``edge-controller run``: the service, in the foreground."""

from __future__ import annotations

import asyncio
import os
import signal

import click

from controller import errors, files, heap, lean_imports, open_files, tls_buffers
from controller.backends.docker.engine.lane import LIMITS, EngineLimits
from controller.cli import logging as logs
from controller.cli.options import with_settings
from controller.settings import Settings
from controller.state import State


@click.command()
@with_settings()
def run(settings: Settings) -> None:
    """Run the controller in the foreground until SIGTERM or Ctrl-C; the runtimes keep running when it stops.

    \b
    Examples:
      edge-controller run
      edge-controller run --cloud-url https://localhost:7443 --cloud-ca ca.crt
      edge-controller run --config /etc/edge-controller/settings.toml --log-format json
      EDGE_CLOUD_URL= edge-controller run        # no cloud: kubectl and GitOps only
    """
    serve(settings)


def serve(settings: Settings, limits: EngineLimits = LIMITS) -> None:
    """Run until a signal arrives. Raises errors.SettingError."""
    tls_buffers.shrink()
    heap.share()
    open_files.raise_limit()
    rate_limits = logs.set_up(settings.log_format, settings.log_level)
    lean_imports.prepare(settings.roles)
    # A safety net: our files get their modes explicitly, but SQLite, libraries and new code may forget.
    os.umask(0o077)
    state = State(settings.state_dir)
    with state.lock():
        state.tighten()
        try:
            asyncio.run(_serve(settings, state, limits, rate_limits))
        except OSError as error:
            # A full, read-only or failing disk would otherwise print a traceback at each restart by systemd.
            if error.errno not in files.REMEDIES:
                raise
            raise errors.SettingError(
                f"the start failed ({error}): {files.remedy(error)}; EDGE_STATE_DIR is {settings.state_dir}"
            ) from error


async def _serve(settings: Settings, state: State, limits: EngineLimits, rate_limits: list[logs.RateLimit]) -> None:
    from controller.manager.manager import Manager  # noqa: PLC0415 - everything; only this command needs it

    service = Manager(settings, state, os.environ, lean_imports.finish, limits)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not signal.signal(), whose handlers are not allowed to interact with the loop.
        loop.add_signal_handler(number, service.stop)
    flushing = asyncio.create_task(logs.flush_periodically(rate_limits), name="log rate limits")
    try:
        await service.run()
    finally:
        flushing.cancel()
