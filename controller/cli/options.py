"""The settings as options of a command: every field is a flag, so flags and settings cannot drift apart."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from typing_extensions import override

from controller import settings

UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 365 * UNITS["d"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Span(click.ParamType[float]):
    """A duration from one minute to a year, given as 30m, 24h or 7d; in seconds."""

    name = "TIME"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse it; fails with the expected form."""
        found = re.fullmatch(r"(\d{1,6})([mhd])", str(value))
        seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
        if not UNITS["m"] <= seconds <= LONGEST:
            self.fail(f"{value!r} is not a duration from 1m to 365d: give it as 30m, 24h or 7d", param, ctx)
        return seconds


def with_settings(*fields: str) -> Decorator:
    """Give a command the flags of these settings (by default all) and call it with the loaded Settings."""
    chosen = fields or tuple(settings.Settings.model_fields)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(config: Path | None, **arguments: Any) -> Any:
            flags = {field: arguments.pop(field) for field in chosen}
            return command(settings.load(flags, os.environ, config), **arguments)

        path = click.Path(path_type=Path, dir_okay=False)
        options: list[Decorator] = [click.option("--config", type=path, help="Settings file (TOML or YAML).")]
        options += [_flag(field) for field in chosen]
        decorated: Callable[..., Any] = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _flag(field: str) -> Decorator:
    described = settings.Settings.model_fields[field].description
    variable = settings.variable(field)
    return click.option(f"--{field.replace('_', '-')}", field, metavar="VALUE", help=f"{described} [{variable}]")
