"""Settings of the controller: flags win over environment variables, these over the file, that over the defaults.

One frozen class; every field says what it means, and the README's table is printed from it. Reading settings does
nothing else: no directory is made, no file but the settings file and a template is read.
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
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from controller import errors, names
from controller.setting_values import (
    CloudUrl,
    Listen,
    ListenAddress,
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


class Settings(BaseSettings):
    """Everything that can be set. Raises pydantic errors; use ``load``, which says them in one sentence."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True)

    cloud_url: CloudUrl = Field(
        "https://api.getedge.me",
        description="The cloud, https:// (http:// to this host only); empty: no cloud, resources and GitOps only.",
    )
    client_cert: Path = Field(Path("~/.mtls/client.crt"), description="Client certificate; its CN is the agent id.")
    client_key: Path = Field(Path("~/.mtls/client.key"), description="Key of the client certificate.")
    cloud_ca: Path | None = Field(None, description="CA bundle for the cloud's certificate; default: the system's.")
    state_dir: Path = Field(Path("/var/lib/edge-controller"), description="Where everything that must last is kept.")
    upgrade_without_backup: bool = Field(
        False, description="true: an upgrade may begin although no backup of the database can be taken before it."
    )
    api: Literal["embedded", "cluster"] = Field("embedded", description="Whose Kubernetes API is used.")
    roles: Roles = Field(
        ("link", "node"),
        description="What this process does: link, pods, node; in a cluster any of them, by commas.",
    )
    api_listen: ListenAddress = Field(Listen("127.0.0.1", 6445), description="Address of the embedded API.")
    api_expose: bool = Field(
        False, description="true: EDGE_API_LISTEN may be an address that other hosts reach; they need a certificate."
    )
    http_listen: ListenAddress = Field(
        Listen("127.0.0.1", 9402), description="Address of /healthz, /readyz and /metrics."
    )
    node_listen: ListenAddress = Field(
        Listen("0.0.0.0", 9443),  # noqa: S104 - others ask it; each shows a token
        description="cluster: where role node answers the leader, over TLS.",
    )
    node_token: Path = Field(
        Path("/var/run/secrets/edge-controller/token"),
        description=f"cluster: the leader's token for nodes, a projected one with audience {names.NODE_AUDIENCE}.",
    )
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")] = Field(
        "edge", description="Namespace of the cloud's runtimes, and the kubeconfig's default."
    )
    node_name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")] = Field(
        default_factory=lambda: re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.") or "node",
        description="Name of this node; kept from the first start.",
    )
    docker_host: str = Field(
        "unix:///var/run/docker.sock", validation_alias="DOCKER_HOST", description="The Docker engine."
    )
    runtime_image: str = Field(
        "ghcr.io/autonomy-logic/openplc-runtime", description="Image repository of what the cloud creates."
    )
    runtime_version: str = Field("latest", description="Image tag of what the cloud creates without a version.")
    runtime_template: Template = Field(
        default_factory=lambda: dict(OPENPLC_TEMPLATE),
        description="Partial spec under what the cloud creates: YAML, JSON or @FILE; default: what OpenPLC v4 needs.",
    )
    image_prefixes: Prefixes = Field(
        (),
        description="Allowed registries, folders of them (ghcr.io/a, with all below) and images, separated by commas; "
        "empty: all.",
    )
    address_probe: bool = Field(
        True,
        description="Ask the LAN before an address is taken, and watch for others that have it (RFC 5227); off where a "
        "router answers for every address (proxy ARP).",
    )
    dev_dir: Path = Field(Path("/dev"), description="Where the host's device nodes are.")
    sys_dir: Path = Field(Path("/sys"), description="Where the host's sysfs is.")
    internal_pool: Pool = Field(
        ipaddress.IPv4Network("10.213.0.0/16"), description="Range of the internal networks, a /28 each."
    )
    pids_limit: Annotated[int, Field(ge=64, le=4_194_304)] = Field(
        4096, description="How many processes and threads a runtime may have; of containers that are made from now on."
    )
    command_seconds: Annotated[float, Field(ge=1, le=600)] = Field(
        30, description="How long start, stop, restart and run_command wait for their answer."
    )
    runtime_reads: ReadPaths = Field(
        ("/api/status", "/api/ping", "/api/runtime-logs", "/api/compilation-status"),
        description="Paths of a runtime that change nothing when read: a GET is sent at once and recorded nowhere.",
    )
    contracts: Literal["strict", "lenient"] = Field(
        "strict", description="lenient: action and requested_at may be left out of messages."
    )
    heartbeat_seconds: Annotated[float, Field(ge=0.1, le=3600)] = Field(5, description="Between two heartbeats.")
    log_format: Literal["console", "json"] = Field("console", description="Form of the log.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values given to the constructor already hold flags over environment over file (see ``load``)."""
        return (init_settings,)


def variable(field: str) -> str:
    """The environment variable of a field."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias) if alias else PREFIX + field.upper()


def load(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> Settings:
    """The settings from all sources. Raises errors.SettingError, one sentence with the setting and the remedy."""
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
    return settings.model_copy(update=_with_home(settings))


def _check_exposure(settings: Settings) -> None:
    """Nobody opens the API to a plant's network by a slip of the pen."""
    host = settings.api_listen.host
    if settings.api == "embedded" and not settings.api_expose and not _is_loopback(host):
        raise errors.SettingError(
            f"EDGE_API_LISTEN {settings.api_listen} can be reached from other hosts: set EDGE_API_EXPOSE=true if that "
            "is wanted, or listen on 127.0.0.1"
        )


def _check_roles(settings: Settings) -> None:
    if settings.api == "embedded" and set(settings.roles) != {"link", "node"}:
        raise errors.SettingError(
            f"EDGE_ROLES {','.join(settings.roles)} needs EDGE_API=cluster: the embedded API has one process, with the "
            "roles link,node"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_home(settings: Settings) -> dict[str, Path]:
    paths = {field: getattr(settings, field) for field in ("client_cert", "client_key", "cloud_ca", "state_dir")}
    return {field: path.expanduser() for field, path in paths.items() if path is not None}


def _from_file(path: Path) -> dict[str, Any]:
    """Keys are field names, with or without the EDGE_ of their variable, in any case."""
    try:
        text = path.read_text()
        content = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text) or {}
    except (OSError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        reason = one_line(error)
        raise errors.SettingError(f"--config {path} cannot be read: {reason}; give a TOML or YAML file") from error
    if not isinstance(content, dict):
        raise errors.SettingError(f"--config {path} holds no settings; give a mapping such as `cloud_url: ...`")
    return {_field_of(str(key), path): value for key, value in content.items()}


def _field_of(key: str, path: Path) -> str:
    field = key.lower().replace("-", "_").removeprefix(PREFIX.lower())
    if field in Settings.model_fields:
        return field
    nearest = get_close_matches(field, Settings.model_fields, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else f"; known are {', '.join(Settings.model_fields)}"
    raise errors.SettingError(f"--config {path}: there is no setting {key}{hint}")


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    place = str(first["loc"][0]) if first["loc"] else ""
    name = variable(place) if place in Settings.model_fields else place
    reason = str(first["msg"]).removeprefix("Value error, ")
    given = json.dumps(first["input"], default=str)[:100]
    return f"{name} is malformed: {reason} (given: {given})"


def table() -> str:
    """The settings as a Markdown table."""
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
