"""The report of a run: a table of what was done, and what was found."""

from __future__ import annotations

from tests.soak.findings import Findings
from tests.soak.run import Memory, Settings


def as_markdown(settings: Settings, findings: Findings, memory: Memory | None) -> str:
    """The table for docs/reliability.md."""
    lines = [
        f"{settings.minutes:g} minutes, seed {settings.seed}.",
        "",
        "| what | |",
        "| --- | --- |",
        *(f"| {what} | {count:,} |" for what, count in sorted(findings.counts.items()) if what != "findings"),
    ]
    if memory:
        grown = f"{100 * (memory.end / memory.warm - 1):+.1f} %"
        sizes = f"{memory.warm / 1e6:.1f}, {memory.end / 1e6:.1f} MB ({grown})"
        lines.append(f"| memory after the warm-up and at the end | {sizes} |")
    lines.append(f"| broken promises | {findings.counts['findings']:,} |")
    return "\n".join(lines)
