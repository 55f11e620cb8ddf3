"""``edge-controller cloud``: serve a local cloud, enrol agents, list them, send topics."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from controller import errors, listening
from controller.localcloud.api import Api
from controller.localcloud.authority import Authority
from controller.localcloud.client import Client
from controller.localcloud.server import ANSWER_SECONDS, Cloud

DEFAULT_DIRECTORY = "~/.local/state/edge-controller-cloud"
DEFAULT_LISTEN = "127.0.0.1:7443"

with_directory = click.option(
    "--dir",
    "directory",
    default=DEFAULT_DIRECTORY,
    show_default=True,
    callback=lambda _context, _parameter, value: Path(value).expanduser(),
    help="Directory of the local cloud's CA and socket.",
)


@click.group()
def cloud() -> None:
    """Run a local cloud on this machine and command agents through it.

    \b
    Examples:
      edge-controller cloud serve
      edge-controller cloud enroll 07048933 --out ~/.mtls
      edge-controller cloud agents
      edge-controller cloud send get_device_status --device plc-1
    """


@cloud.command()
@with_directory
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, help="Address to listen on for agents, HOST:PORT.")
def serve(directory: Path, listen: str) -> None:
    """Serve in the foreground until Ctrl-C.

    \b
    Examples:
      edge-controller cloud serve
      edge-controller cloud serve --listen 0.0.0.0:7443 --dir /tmp/cloud
    """
    try:
        address = listening.parse(listen, DEFAULT_LISTEN)
    except ValueError as error:
        raise errors.SettingError(f"--listen {listen} is malformed; {error}") from error
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    asyncio.run(_serve(Cloud(directory, host=address.host, port=address.port)))


async def _serve(local: Cloud) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    api = Api(local)
    await local.start()
    try:
        await api.start()
        click.echo(f"the local cloud serves {local.url}; enrol an agent with `edge-controller cloud enroll NAME`")
        await ended.wait()
    finally:
        await api.stop()
        await local.stop()


@cloud.command()
@with_directory
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the files.")
@click.option("--force", is_flag=True, help="Replace an existing key.")
def enroll(directory: Path, name: str, out: Path | None, force: bool) -> None:
    """Issue a certificate for the agent NAME: client.crt, client.key and ca.crt.

    \b
    Examples:
      edge-controller cloud enroll 07048933 --out ~/.mtls
      EDGE_CLOUD_URL=https://localhost:7443 EDGE_CLOUD_CA=~/.mtls/ca.crt edge-controller run
    """
    out = out.expanduser() if out else None
    if out and (out / "client.key").exists() and not force:
        raise errors.CommandError(
            f"{out / 'client.key'} already exists; choose another --out, or --force to replace it"
        )
    folder = Authority(directory).enroll(name, out)
    click.echo(f"enrolled {name}: client.crt, client.key and ca.crt are in {folder}")


@cloud.command()
@with_directory
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def agents(directory: Path, as_json: bool) -> None:
    """List the agents, with their connection and last heartbeat.

    \b
    Examples:
      edge-controller cloud agents
      edge-controller cloud agents --json
    """
    found = asyncio.run(Client(directory).agents())
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows: list[tuple[str, ...]] = [("AGENT", "CONNECTED", "HEARTBEAT", "CPU", "MEMORY", "DISK", "STATUS")]
    rows.extend(_row(agent, time.time()) for agent in found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@cloud.command()
@with_directory
@click.argument("topic")
@click.argument("fields", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--device", help="The device_id.")
@click.option("--json", "document", metavar="JSON|FILE|-", help="Fields as a JSON object, from a file or from stdin.")
@click.option("--agent", help="Agent id; optional while exactly one agent is connected.")
@click.option("--timeout", default=ANSWER_SECONDS, show_default=True, help="Seconds to wait for the answer.")
def send(
    directory: Path,
    topic: str,
    fields: tuple[str, ...],
    device: str | None,
    document: str | None,
    agent: str | None,
    timeout: float,
) -> None:
    """Send a topic to an agent and print its answer, with exit status 1 if that is an error.

    A VALUE is parsed as JSON if possible, else taken as text. correlation_id, action and requested_at are added.

    \b
    Examples:
      edge-controller cloud send get_host_interfaces include_virtual=true
      edge-controller cloud send stop_device --device plc-1
      edge-controller cloud send create_new_runtime --json runtime.json
      edge-controller cloud send run_command --device plc-1 method=GET api=/api/status
    """
    message = _document(document) | dict(map(_pair, fields)) | ({"device_id": device} if device else {})
    answer = asyncio.run(_send(Client(directory), agent, topic, message, timeout))
    click.echo(json.dumps(answer, indent=2))
    sys.exit(1 if isinstance(answer, dict) and answer.get("status") == "error" else 0)


async def _send(client: Client, agent: str | None, topic: str, message: dict[str, Any], seconds: float) -> Any:
    return await client.send(agent or await _only_agent(client), topic, message, seconds)


async def _only_agent(client: Client) -> str:
    connected = [agent["agent"] for agent in await client.agents() if agent["connected_since"]]
    if len(connected) != 1:
        problem = (
            f"{len(connected)} agents are connected ({', '.join(connected)})" if connected else "no agent is connected"
        )
        raise errors.CommandError(
            f"{problem}; name one with --agent" if connected else f"{problem}; see `cloud agents`"
        )
    return str(connected[0])


def _document(source: str | None) -> dict[str, Any]:
    """The object given with --json: the text itself, ``-`` for standard input, or a file."""
    if source is None:
        return {}
    try:
        if source.lstrip().startswith("{"):
            text = source
        else:
            text = sys.stdin.read() if source == "-" else Path(source).expanduser().read_text()
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise errors.CommandError(f"--json cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise errors.CommandError("--json takes one object")
    return document


def _pair(field: str) -> tuple[str, Any]:
    key, equals, value = field.partition("=")
    if not equals or not key:
        raise errors.CommandError(f"{field!r} is not a field; give it as KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _row(agent: dict[str, Any], now: float) -> tuple[str, ...]:
    # The payload is whatever the agent sent, so it may lack fields or be no object at all.
    beat = agent["last_heartbeat"] or {"received": None, "payload": {}}
    payload = beat["payload"] if isinstance(beat["payload"], dict) else {}
    return (
        agent["agent"],
        _age(agent["connected_since"], now),
        _age(beat["received"], now),
        f"{payload.get('cpu_usage', '-')} %",
        f"{payload.get('memory_usage', '-')} of {payload.get('memory_total', '-')} GB",
        f"{payload.get('disk_usage', '-')} of {payload.get('disk_total', '-')} GB",
        str(payload.get("status", "-")) if agent["connected_since"] else "away",
    )


def _age(moment: float | None, now: float) -> str:
    """How long ago, in the two largest units: 4s, 3m12s, 5h3m, 2d4h; ``-`` for never."""
    if moment is None:
        return "-"
    seconds = max(0, int(now - moment))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((i for i, (count, _) in enumerate(parts) if count), 3)
    return "".join(f"{count}{unit}" for count, unit in parts[first : first + 2])
