"""The documents refer to files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_every_module_in_the_architecture_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    modules = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", text)
    assert modules
    assert [name for name in modules if not any((base / name).exists() for base in (ROOT, ROOT / "controller"))] == []
