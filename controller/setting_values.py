"""Parsers and validators of setting values: addresses, ranges, lists, roles, templates.

Every ValueError here completes a sentence that starts with the setting's name.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BeforeValidator

from controller import listening
from controller.api.fields import ObjectName
from controller.listening import Listen

MAX_READS = 64


def _listen(value: Any) -> Any:
    return listening.parse(value, "127.0.0.1:6445") if isinstance(value, str) else value


def one_line(error: Exception) -> str:
    """Join a library's multi-line message into one line."""
    return " ".join(str(error).split())


def _pool(value: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    if not (value.is_private or value.is_link_local) or value.prefixlen > 24:
        raise ValueError("give a private IPv4 range of at least /24, such as 10.213.0.0/16")
    return value


def _cloud_url(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^/\s]+/?", value):
        raise ValueError("give it as https://HOST or https://HOST:PORT, or leave it empty for no cloud")
    return value.rstrip("/")


def _parts(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _read_paths(value: tuple[str, ...]) -> tuple[str, ...]:
    """Accept only paths that clients send unchanged in the request line: no escapes, no dot segments, no query."""
    if len(value) > MAX_READS:
        raise ValueError(f"give at most {MAX_READS} paths")
    for path in value:
        segments = path.split("/")[1:]
        plain = re.fullmatch(r"/[A-Za-z0-9._~/-]{0,255}", path)
        if not plain or "" in segments[:-1] or not {".", ".."}.isdisjoint(segments):
            raise ValueError("give absolute paths of letters, digits and ._~-, such as /api/status, comma-separated")
    return value


def _roles(value: tuple[Role, ...]) -> tuple[Role, ...]:
    if not value:
        raise ValueError(f"name at least one of {', '.join(get_args(Role))}")
    return value


def _template(value: Any) -> Any:
    """A partial spec: inline YAML or JSON, or ``@FILE``."""
    if isinstance(value, str):
        try:
            text = Path(value[1:]).read_text() if value.startswith("@") else value
            value = yaml.safe_load(text)
        except (OSError, yaml.YAMLError) as error:
            raise ValueError(f"give a partial Runtime spec as YAML or JSON, or @FILE ({one_line(error)})") from error
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise ValueError("give a partial Runtime spec as a mapping")
    from controller.api import runtimes  # noqa: PLC0415 - the API starts sooner without, and few set a template

    unknown = set(value) - {field.alias for field in runtimes.RuntimeSpec.model_fields.values()}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is not a field of a Runtime's spec")
    # Placeholders for the required fields, which a template leaves to the command that uses it.
    runtimes.RuntimeSpec.model_validate({"deviceId": "template", "image": "template", **value})
    return value


Role = Literal["link", "pods", "node"]
Roles = Annotated[tuple[Role, ...], BeforeValidator(_parts), AfterValidator(_roles)]
Prefixes = Annotated[tuple[str, ...], BeforeValidator(_parts)]
Namespaces = Annotated[tuple[ObjectName, ...], BeforeValidator(_parts)]
ListenAddress = Annotated[Listen, BeforeValidator(_listen)]
Pool = Annotated[ipaddress.IPv4Network, AfterValidator(_pool)]
CloudUrl = Annotated[str, AfterValidator(_cloud_url)]
ReadPaths = Annotated[tuple[str, ...], BeforeValidator(_parts), AfterValidator(_read_paths)]
Template = Annotated[dict[str, Any], BeforeValidator(_template)]
