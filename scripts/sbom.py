"""Writes sbom.json (CycloneDX 1.6) and licences.txt: the Python and Debian packages of the system it runs on.

Run by the Dockerfile while the image is built, so it uses only the standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

STATUS = Path("/var/lib/dpkg/status")


class Part(NamedTuple):
    """One package; ``licence`` is as the package states it, an SPDX expression if it has one."""

    name: str
    version: str
    licence: str
    url: str  # package URL (purl)

    @property
    def component(self) -> dict[str, object]:
        """The part as a CycloneDX component."""
        plain: dict[str, object] = {"type": "library", "name": self.name, "version": self.version, "purl": self.url}
        return {**plain, "licenses": [{"license": {"name": self.licence}}]} if self.licence else plain


def python_parts() -> list[Part]:
    """The installed distributions, by name."""
    found = {distribution.metadata["Name"].lower(): distribution for distribution in metadata.distributions()}
    return [
        Part(name, each.version, licence(each.metadata), f"pkg:pypi/{name}@{each.version}")
        for name, each in sorted(found.items())
    ]


def debian_parts(status: Path = STATUS) -> list[Part]:
    """The installed packages; their licences are in /usr/share/doc/PACKAGE/copyright (deb822(5))."""
    if not status.exists():
        return []
    installed = [entry for entry in _paragraphs(status.read_text()) if entry.get("Status") == "install ok installed"]
    return [
        Part(entry["Package"], entry["Version"], "", f"pkg:deb/debian/{entry['Package']}@{entry['Version']}")
        for entry in installed
    ]


def write(folder: Path, python: list[Part], debian: list[Part]) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    components = [part.component for part in (*python, *debian)]
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}
    (folder / "sbom.json").write_text(json.dumps(bom, indent=1) + "\n")
    lines = [f"{part.name} {part.version}: {part.licence or 'see its copyright file'}" for part in (*python, *debian)]
    (folder / "licences.txt").write_text("\n".join(lines) + "\n")


def licence(found: metadata.PackageMetadata) -> str:
    """The licence expression (PEP 639), else the classifiers, else the first line of the free-text field."""
    if expression := _field(found, "License-Expression"):
        return expression
    classifiers = [each.rpartition(" :: ")[2] for each in found.get_all("Classifier") or () if "License ::" in each]
    text = _field(found, "License").strip().splitlines()
    return " and ".join(classifiers) or (text[0] if text else "")


def _field(found: metadata.PackageMetadata, name: str) -> str:
    return next(iter(found.get_all(name) or ()), "")


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    for paragraph in text.split("\n\n"):
        pairs = [line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line.startswith(" ")]
        yield {pair[0]: pair[1] for pair in pairs}


if __name__ == "__main__":
    write(Path(sys.argv[1]), python_parts(), debian_parts())
