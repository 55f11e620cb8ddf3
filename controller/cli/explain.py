"""``edge-controller explain-network``: follows a packet from a runtime to its gateway and finds where it stops."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence

import click
import pydantic

from controller import errors
from controller.api import claims, kinds
from controller.api.runtimes import Runtime
from controller.backends.base import Identity
from controller.backends.docker import parts
from controller.backends.docker.backend import DockerBackend
from controller.cli.options import with_settings
from controller.container_root import Process
from controller.machinery import endpoint
from controller.machinery.client import ApiClient
from controller.network.arp.guard import AddressGuard
from controller.network.interfaces import HostInterfaces
from controller.nodes import diagnosis, probes
from controller.nodes.diagnosis import Step
from controller.settings import Settings
from controller.state import KUBECONFIG, State

Section = tuple[str, Sequence[Step]]
"""The name of an interface, or "container", and its steps."""


@click.command()
@click.argument("runtime")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
@with_settings("state_dir", "docker_host", "namespace", "internal_pool", "api")
def explain_network(settings: Settings, runtime: str, output: str) -> None:
    """Follow a packet from RUNTIME to its gateway and name the remedy at the first broken step. Changes nothing.

    RUNTIME is a device id or the name of a Runtime on this host. The exit status is 1 if a step is broken.

    \b
    Examples:
      edge-controller explain-network plc-1
      edge-controller explain-network plc-1 -o json
      edge-controller explain-network plc-1 --namespace plant-b
    """
    sections = asyncio.run(_sections(settings, runtime))
    click.echo(_as_json(sections) if output == "json" else _as_text(sections))
    if not all(step.ok for _, steps in sections for step in steps):
        sys.exit(1)


async def _sections(settings: Settings, name: str) -> list[Section]:
    runtime = await _runtime(settings, name)
    process = await _process(settings, runtime)
    container = list(diagnosis.container(await probes.container(runtime, process)))
    sections: list[Section] = [("container", container)]
    if process is None:
        return sections
    shown, guard = HostInterfaces(settings.internal_pool), AddressGuard()
    try:
        for desired in runtime.spec.interfaces:
            found = await probes.interface(runtime, desired, process, shown, guard)
            sections.append((desired.name, list(diagnosis.interface(found))))
    finally:
        guard.close()
    return sections


async def _runtime(settings: Settings, name: str) -> Runtime:
    """The Runtime from the API. Raises errors.NotFoundError and errors.ApiError."""
    embedded = settings.api == "embedded"
    kubeconfig = settings.state_dir / KUBECONFIG
    if embedded and not kubeconfig.exists():
        raise errors.SettingError(f"EDGE_STATE_DIR {settings.state_dir} has no kubeconfig: start the controller")
    api = ApiClient(await (endpoint.from_kubeconfig(kubeconfig) if embedded else endpoint.from_cluster(os.environ)))
    try:
        bodies = await api.list(kinds.RUNTIMES, settings.namespace)
    finally:
        await api.close()
    named = [each for each in bodies if name in (each["spec"]["deviceId"], each["metadata"]["name"])]
    # Several Runtimes may have one device id, but only their owner has the container.
    body = next(iter(claims.owners(named)), None)
    if body is None:
        raise errors.NotFoundError(f"there is no Runtime {name} in namespace {settings.namespace}")
    try:
        return Runtime.model_validate(body)
    except pydantic.ValidationError as error:
        raise errors.SettingError(
            f"the Runtime {name} does not match the schema of this version: {error.errors()[0]['msg']}"
        ) from error


async def _process(settings: Settings, runtime: Runtime) -> Process | None:
    """The first process of the container on this host; None if it does not run here."""
    install_id = State(settings.state_dir).known_install_id() or ""
    backend = DockerBackend(
        settings.docker_host, install_id, settings.internal_pool, parts.read_only(settings.state_dir)
    )
    identity = Identity(install_id, runtime.metadata.namespace, runtime.spec.device_id)
    try:
        found = next((each for each in await backend.running() if each.identity == identity), None)
        return Process(found.pid, found.container) if found else None
    finally:
        backend.close()


def _as_json(sections: Sequence[Section]) -> str:
    report = [{"interface": name, "steps": [step._asdict() for step in steps]} for name, steps in sections]
    return json.dumps({"ok": all(step.ok for _, steps in sections for step in steps), "ways": report}, indent=2)


def _as_text(sections: Sequence[Section]) -> str:
    lines = []
    for name, steps in sections:
        lines.append(name)
        for step in steps:
            mark = click.style("OK  ", fg="green") if step.ok else click.style("FAIL", fg="red")
            lines.append(f"  {mark}  {step.subject + ':':<17} {step.text}")
    return "\n".join(lines)
