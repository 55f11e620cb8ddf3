"""Settings of the controller. Precedence: flags, environment variables, the settings file, defaults.

One frozen class; the README's table is generated from the descriptions of its fields. Loading settings has no side
effects: it creates no directory and reads no files except the settings file and a template.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from controller import errors, names
from controller.api.fields import NODE_NAME, ObjectName
from controller.api.served_namespaces import EVERYWHERE, ServedNamespaces
from controller.listening import Listen
from controller.setting_values import (
    CloudUrl,
    ListenAddress,
    Namespaces,
    Pool,
    Prefixes,
    ReadPaths,
    Roles,
    Template,
    one_line,
)

PREFIX = "EDGE_"

# What an OpenPLC v4 runtime needs.
OPENPLC_TEMPLATE: dict[str, Any] = {
    "volumes": [{"name": "runtime", "mountPath": "/var/run/runtime"}],
    "realtime": {"enabled": True},
}


class Settings(BaseModel):
    """All settings. Raises pydantic errors; use ``load`` to get them as one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    cloud_url: CloudUrl = Field(
        "https://api.getedge.me",
        description="Cloud URL, https:// (http:// only to this host). Empty: no cloud, resources and GitOps only.",
    )
    client_cert: Path = Field(Path("~/.mtls/client.crt"), description="Client certificate. Its CN is the agent id.")
    client_key: Path = Field(Path("~/.mtls/client.key"), description="Private key of the client certificate.")
    cloud_ca: Path | None = Field(None, description="CA bundle for the cloud's certificate. Default: the system's.")
    state_dir: Path = Field(Path("/var/lib/edge-controller"), description="Directory of all persistent state.")
    upgrade_without_backup: bool = Field(
        False, description="Allow an upgrade of the database without a backup when none can be made."
    )
    api: Literal["embedded", "cluster"] = Field(
        "embedded", description="Kubernetes API to use: the embedded one or a cluster's."
    )
    roles: Roles = Field(
        ("link", "node"),
        description="Roles of this process: link, pods, node; in a cluster any of them, comma-separated.",
    )
    api_listen: ListenAddress = Field(
        Listen("127.0.0.1", 6445), description="Address that the embedded API listens on."
    )
    api_expose: bool = Field(
        False, description="Allow EDGE_API_LISTEN to be reachable from other hosts, which need a certificate."
    )
    http_listen: ListenAddress = Field(
        Listen("127.0.0.1", 9402), description="Address that serves /healthz, /readyz and /metrics."
    )
    node_listen: ListenAddress = Field(
        Listen("0.0.0.0", 9443),  # noqa: S104 - the leader connects from another host, with a token
        description="In a cluster: address on which the node role serves the leader over TLS.",
    )
    node_token: Path = Field(
        Path("/var/run/secrets/edge-controller/token"),
        description=f"In a cluster: the leader's token for nodes of version 0.1, with audience {names.NODE_AUDIENCE}.",
    )
    namespace: ObjectName = Field(
        "edge", description="Namespace of the cloud's runtimes and default namespace of the kubeconfig."
    )
    further_namespaces: Namespaces = Field(
        (),
        description="In a cluster: further namespaces whose Runtimes are run, comma-separated. In all others they are "
        "Stalled.",
    )
    node_name: Annotated[str, Field(pattern=f"^{NODE_NAME}$")] = Field(
        default_factory=lambda: re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.") or "node",
        description="Name of this node, fixed at the first start.",
    )
    docker_host: str = Field(
        "unix:///var/run/docker.sock", validation_alias="DOCKER_HOST", description="Address of the Docker engine."
    )
    runtime_image: str = Field(
        "ghcr.io/autonomy-logic/openplc-runtime", description="Image repository of runtimes created by the cloud."
    )
    runtime_version: str = Field(
        "latest", description="Image tag of runtimes that the cloud creates without a version."
    )
    runtime_template: Template = Field(
        default_factory=lambda: dict(OPENPLC_TEMPLATE),
        description="Partial spec for runtimes created by the cloud, as YAML, JSON or @FILE. Default: for OpenPLC v4.",
    )
    image_prefixes: Prefixes = Field(
        (),
        description="Allowed registries, their folders (ghcr.io/a and everything below) and images, comma-separated. "
        "Empty: all.",
    )
    address_probe: bool = Field(
        True,
        description="Probe the LAN before using an address and detect conflicts later (RFC 5227). Disable it where a "
        "router answers for every address (proxy ARP).",
    )
    dedicate_addressed: bool = Field(
        False, description="Let new specs dedicate an interface that has addresses of the host (dedicatedInterface)."
    )
    dev_dir: Path = Field(Path("/dev"), description="Directory of the host's device nodes.")
    sys_dir: Path = Field(Path("/sys"), description="Mount point of the host's sysfs.")
    internal_pool: Pool = Field(
        ipaddress.IPv4Network("10.213.0.0/16"), description="Address range of the internal networks, a /28 each."
    )
    pids_limit: Annotated[int, Field(ge=64, le=4_194_304)] = Field(
        4096, description="Maximum number of processes and threads of a runtime; applies to new containers."
    )
    command_seconds: Annotated[float, Field(ge=1, le=600)] = Field(
        30, description="Seconds that start, stop, restart and run_command may take to answer."
    )
    runtime_reads: ReadPaths = Field(
        ("/api/status", "/api/ping", "/api/runtime-logs", "/api/compilation-status"),
        description="Paths of a runtime without side effects when read: a GET is forwarded at once and not recorded.",
    )
    contracts: Literal["strict", "lenient"] = Field(
        "strict", description="Validation of cloud messages; lenient makes action and requested_at optional."
    )
    heartbeat_seconds: Annotated[float, Field(ge=0.1, le=3600)] = Field(5, description="Heartbeat interval in seconds.")
    log_format: Literal["console", "json"] = Field("console", description="Log format.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")

    @property
    def served_namespaces(self) -> ServedNamespaces:
        """Return the namespaces whose Runtimes are run: all of them on a standalone host, which has one owner."""
        if self.api == "embedded":
            return EVERYWHERE
        return ServedNamespaces(frozenset((self.namespace, *self.further_namespaces)))


def variable(field: str) -> str:
    """Return the environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias) if alias else PREFIX + field.upper()


def load(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> Settings:
    """Load settings from all sources. Raises errors.SettingError, which names the setting and the remedy."""
    known = {variable(field): field for field in Settings.model_fields}
    values = _from_file(file) if file else {}
    values |= {field: environment[name] for name, field in known.items() if name in environment}
    values |= {field: value for field, value in flags.items() if value is not None}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise errors.SettingError(_sentence(error)) from error
    _check_exposure(settings)
    _check_roles(settings)
    settings = settings.model_copy(update=_with_home(settings))
    _check_state_dir(settings.state_dir)
    return settings


def _check_state_dir(path: Path) -> None:
    """Refuse an empty or relative path: the working directory would be made private, and emptied at a retirement."""
    if not path.is_absolute():
        raise errors.SettingError(f"EDGE_STATE_DIR {path} is not an absolute path: start it with a /")


def _check_exposure(settings: Settings) -> None:
    """Refuse to expose the API to the plant's network by a typo."""
    host = settings.api_listen.host
    if settings.api == "embedded" and not settings.api_expose and not _is_loopback(host):
        raise errors.SettingError(
            f"EDGE_API_LISTEN {settings.api_listen} is reachable from other hosts: set EDGE_API_EXPOSE=true if that "
            "is intended, or listen on 127.0.0.1"
        )


def _check_roles(settings: Settings) -> None:
    if settings.api == "embedded" and set(settings.roles) != {"link", "node"}:
        raise errors.SettingError(
            f"EDGE_ROLES {','.join(settings.roles)} needs EDGE_API=cluster: with the embedded API the only process has "
            "the roles link,node"
        )


def _is_loopback(host: str) -> bool:
    try:
        # No other name is resolved: loading has no side effects, and a name may have another address later.
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_home(settings: Settings) -> dict[str, Path]:
    # Neither systemd nor Docker expands a ~ in a variable.
    paths = {field: getattr(settings, field) for field in ("client_cert", "client_key", "cloud_ca", "state_dir")}
    return {field: path.expanduser() for field, path in paths.items() if path is not None}


def _from_file(path: Path) -> dict[str, Any]:
    """Read a file; its keys are field names in any case, with or without the EDGE_ prefix."""
    try:
        text = path.read_text()
        content = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text) or {}
    except (OSError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        reason = one_line(error)
        raise errors.SettingError(f"--config {path} cannot be read: {reason}; give a TOML or YAML file") from error
    if not isinstance(content, dict):
        raise errors.SettingError(f"--config {path} contains no settings; give a mapping such as `cloud_url: ...`")
    return {_field_of(str(key), path): value for key, value in content.items()}


def _field_of(key: str, path: Path) -> str:
    field = key.lower().replace("-", "_").removeprefix(PREFIX.lower())
    if field in Settings.model_fields:
        return field
    nearest = get_close_matches(field, Settings.model_fields, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else f"; valid settings are {', '.join(Settings.model_fields)}"
    raise errors.SettingError(f"--config {path}: there is no setting {key}{hint}")


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    place = str(first["loc"][0]) if first["loc"] else ""
    name = variable(place) if place in Settings.model_fields else place
    reason = str(first["msg"]).removeprefix("Value error, ")
    # Cut, as a template may be long.
    given = json.dumps(first["input"], default=str)[:100]
    return f"{name} is malformed: {reason} (given: {given})"


def table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{variable(name)}` | {_default_text(name)} | {field.description} |")
    return "\n".join(rows)


def _default_text(name: str) -> str:
    if name == "node_name":
        return "the host's name"
    if name == "runtime_template":
        return "for OpenPLC v4"
    default = Settings.model_fields[name].default
    if default in (None, "", ()):
        return ""
    if isinstance(default, tuple) and not isinstance(default, Listen):
        return f"`{','.join(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, (int, float)) else f"`{default}`"
