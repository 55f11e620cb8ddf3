"""Writes the tables into docs/performance.md: only what is between a section's markers, never the text around them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

PATH = Path(__file__).parents[2] / "docs/performance.md"
MACHINE = "machine"


def write(path: Path, blocks: Mapping[str, str]) -> None:
    """Replace the blocks by name. Raises ValueError for one without markers in the document."""
    text = path.read_text()
    for name, block in blocks.items():
        text = replaced(text, name, block)
    path.write_text(text)


def replaced(text: str, name: str, block: str) -> str:
    """The text with this block between ``<!-- bench NAME -->`` and ``<!-- /bench NAME -->``. Raises ValueError."""
    start, end = f"<!-- bench {name} -->", f"<!-- /bench {name} -->"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the document has no {start} ... {end}: add them where the table belongs")
    return pattern.sub(lambda _: f"{start}\n{block}\n{end}", text, count=1)
