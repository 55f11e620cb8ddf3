"""The rows of the benchmark's table: what was measured, beside what, with which goal, and whether it is met."""

from __future__ import annotations

import statistics
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

MEETS, FALLS_SHORT, NOT_MEASURED = "meets", "falls short", "not measured"


class Unit(NamedTuple):
    """How a figure is shown: ``scale`` times the base unit (seconds, bytes, percent), with ``digits``."""

    name: str
    scale: float = 1.0
    digits: int = 1

    def show(self, value: float) -> str:
        """The value with its unit."""
        return f"{self.number(value)} {self.name}".rstrip()

    def number(self, value: float) -> str:
        """The value without its unit."""
        return f"{value * self.scale:,.{self.digits}f}"


MILLISECONDS = Unit("ms", 1e3)
SECONDS = Unit("s", digits=2)
MEGABYTES = Unit("MB", 1e-6)  # of 10^6 bytes
KILOBYTES = Unit("kB", 1e-3)
CORE = Unit("% of a core", digits=2)
TIMES = Unit("x", digits=2)
COUNT = Unit("", digits=0)


class Figure(NamedTuple):
    """A figure in the base unit; with the extremes and the number of its samples if it has several."""

    value: float
    low: float | None = None
    high: float | None = None
    samples: int = 1

    def show(self, unit: Unit) -> str:
        """The figure as text."""
        if self.low is None or self.high is None:
            return unit.show(self.value)
        return f"{unit.show(self.value)} (min {unit.number(self.low)}, max {unit.number(self.high)}, n {self.samples})"


def median(samples: Collection[float]) -> Figure:
    """The median of the samples, with their extremes."""
    return Figure(statistics.median(samples), min(samples), max(samples), len(samples))


def percentile(samples: Collection[float], part: int) -> Figure:
    """A percentile of the samples."""
    if len(samples) == 1:
        return Figure(next(iter(samples)))
    return Figure(statistics.quantiles(samples, n=100, method="inclusive")[part - 1])


@dataclass(frozen=True)
class Goal:
    """The figure that is not exceeded, and the rule that it follows from, such as ``1.08 x raw + 15 ms``."""

    limit: float
    rule: str = ""


@dataclass(frozen=True)
class Reference:
    """What the same run measured beside ours, and its name."""

    name: str
    figure: Figure


@dataclass(frozen=True)
class Row:
    """One row of the table. ``missing`` says why there is no figure."""

    what: str
    unit: Unit
    ours: Figure | None
    reference: Reference | None = None
    goal: Goal | None = None
    note: str = ""
    missing: str = ""

    @property
    def verdict(self) -> str:
        """Whether the goal is met; empty without a goal."""
        if self.ours is None:
            return NOT_MEASURED
        if self.goal is None:
            return ""
        return MEETS if self.ours.value <= self.goal.limit else FALLS_SHORT

    @property
    def measured(self) -> str:
        """Our figure with its note."""
        if self.ours is None:
            return self.missing
        return "; ".join(filter(None, (self.ours.show(self.unit), self.note)))

    @property
    def compared(self) -> str:
        """The reference as text, empty without one."""
        return f"{self.reference.name}: {self.reference.figure.show(self.unit)}" if self.reference else ""

    @property
    def wanted(self) -> str:
        """The goal as text, empty without one."""
        if self.goal is None:
            return ""
        return f"<= {self.unit.show(self.goal.limit)}" + (f" ({self.goal.rule})" if self.goal.rule else "")


def unmeasured(what: str, reason: object) -> Row:
    """A row without a figure."""
    return Row(what, COUNT, None, missing=str(reason))


def as_text(row: Row) -> str:
    """The row for a terminal: a line with the figure, and one with reference and goal."""
    first = f"{row.verdict or '-':<13} {row.what:<56} {row.measured}"
    below = "; ".join(filter(None, (f"goal {row.wanted}" if row.goal else "", row.compared)))
    return f"{first}\n{'':<17} {below}" if below else first


def as_markdown(rows: Collection[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | in the same run | goal | |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {row.what} | {row.measured} | {row.compared} | {row.wanted} | {row.verdict} |" for row in rows]
    return "\n".join(lines)
