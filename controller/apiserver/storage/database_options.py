"""What the installation gives the database to keep, and to keep to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controller.disk import Disk


@dataclass(frozen=True)
class DatabaseOptions:
    """How the database is kept.

    ``facts`` are written to it, for whoever restores a backup on another host. ``subject`` is the reference of the
    object that Events about the database are about, by default the namespace. ``backup_required``: no upgrade without
    a backup. ``disk`` is by default the one of the database. ``witness`` is a file that the first start leaves behind:
    a database that is missing beside it was lost.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    disk: Disk | None = None
    subject: Mapping[str, str] | None = None
    backup_required: bool = True
    witness: Path | None = None


DEFAULTS = DatabaseOptions()
"""Without anything to keep beside the objects."""
