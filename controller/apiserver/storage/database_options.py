"""Options of the database that depend on the installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controller.disk import Disk


@dataclass(frozen=True)
class DatabaseOptions:
    """Options of the database.

    ``facts`` are stored in it, for restoring a backup on another host. ``disk`` defaults to the disk of the database.
    ``subject`` refers to the object of Events about the database, by default the namespace. ``backup_required``: do not
    upgrade without a backup. ``witness`` is a file that exists after the first start: if it exists and the database
    does not, the database was lost.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    disk: Disk | None = None
    subject: Mapping[str, str] | None = None
    backup_required: bool = True
    witness: Path | None = None


DEFAULTS = DatabaseOptions()
"""Used by tests and tools without an installation."""
