"""``edge-controller check``: reports what this host has and lacks, with remedies."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import click

from controller import errors
from controller.backends.docker import parts
from controller.backends.docker.backend import DockerBackend
from controller.cli.options import with_settings
from controller.network.interfaces import HostInterfaces
from controller.nodes import preflight
from controller.nodes.preflight import Finding
from controller.settings import Settings

COLORS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}
ENGINE_SECONDS = 10.0


@click.command()
@with_settings(
    "cloud_url",
    "client_cert",
    "client_key",
    "cloud_ca",
    "state_dir",
    "docker_host",
    "internal_pool",
)
def check(settings: Settings) -> None:
    """Check this host and report what needs fixing, with exit status 1 if anything does. Changes nothing.

    \b
    Examples:
      edge-controller check
      edge-controller check --client-cert agent.crt --client-key agent.key
      DOCKER_HOST=unix:///run/docker.sock edge-controller check
    """
    interfaces = HostInterfaces(settings.internal_pool).snapshot()
    findings = [*preflight.host(settings, interfaces, datetime.now(UTC)), *asyncio.run(_engine(settings))]
    for finding in findings:
        level = click.style(f"{finding.level:<4}", fg=COLORS[finding.level])
        click.echo(f"{level}  {finding.subject + ':':<19} {finding.text}")
    failed = sum(finding.level == "FAIL" for finding in findings)
    if failed:
        click.echo(f"\n{failed} to fix")
        sys.exit(1)


async def _engine(settings: Settings) -> list[Finding]:
    backend = DockerBackend(settings.docker_host, "", settings.internal_pool, parts.read_only(settings.state_dir))
    try:
        async with asyncio.timeout(ENGINE_SECONDS):
            found = await backend.survey()
    except errors.ReconcileError as error:
        return [Finding("FAIL", "Docker", str(error))]
    except TimeoutError:
        return [Finding("FAIL", "Docker", f"no answer within {ENGINE_SECONDS:.0f} s: restart it")]
    finally:
        backend.close()
    return [
        preflight.engine(
            f"version {found.engine.version}, apiVersion {found.engine.api_version}",
            is_rootless=found.engine.is_rootless,
        ),
        *preflight.engine_space(found.engine.root),
        *preflight.engine_limits(found.engine.bounds),
        preflight.confinement(found.unconfined),
    ]
