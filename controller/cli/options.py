"""Command options generated from the settings, so that flags and settings cannot drift apart."""

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
MAX_SECONDS = 365 * UNITS["d"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Duration(click.ParamType[float]):
    """A duration from one minute to a year, given as 30m, 24h or 7d; converts to seconds."""

    name = "TIME"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the duration; fails with the expected form."""
        found = re.fullmatch(r"(\d{1,6})([mhd])", str(value))
        seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
        if not UNITS["m"] <= seconds <= MAX_SECONDS:
            self.fail(f"{value!r} is not a duration from 1m to 365d: give it as 30m, 24h or 7d", param, ctx)
        return seconds


def with_settings(*fields: str) -> Decorator:
    """Add the flags of these settings (default: all) to a command and call it with the loaded Settings."""
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
        # The decorator applied last is listed first in the help.
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _flag(field: str) -> Decorator:
    described = settings.Settings.model_fields[field].description
    variable = settings.variable(field)
    # As text without type or default: Settings validates flags, variables and file alike, and None means not given.
    return click.option(f"--{field.replace('_', '-')}", field, metavar="VALUE", help=f"{described} [{variable}]")
