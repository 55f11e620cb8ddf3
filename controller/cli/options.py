"""The settings as options of a command: every field is a flag, so flags and settings cannot drift apart."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from controller import settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def with_settings(*fields: str) -> Decorator:
    """Give a command the flags of these settings (none named: all) and call it with the loaded Settings."""
    chosen = fields or tuple(settings.Settings.model_fields)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(config: Path | None, **arguments: Any) -> Any:
            flags = {field: arguments.pop(field) for field in chosen}
            return command(settings.load(flags, os.environ, config), **arguments)

        path = click.Path(path_type=Path, dir_okay=False)
        options: list[Decorator] = [click.option("--config", type=path, help="File with settings (TOML or YAML).")]
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
