"""What a section of the benchmark is: a name, a title, and an async generator of rows."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.bench.counts import Counts
from tests.bench.rows import Row


@dataclass(frozen=True)
class Wrapper:
    """How the measured controllers are started: what precedes their command, and more of their environment."""

    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What a section gets: how much to measure, how to start controllers, and the rows measured so far by ``what``."""

    counts: Counts
    wrapper: Wrapper = Wrapper()
    measured: Mapping[str, Row] = field(default_factory=dict)


class Section(NamedTuple):
    """A group of rows that is measured on its own. Each row is yielded as soon as it is measured."""

    name: str
    title: str
    rows: Callable[[Run], AsyncGenerator[Row]]


def say(text: str) -> None:
    """Print progress to standard error; the table goes to standard output."""
    print(f"# {text}", file=sys.stderr, flush=True)
