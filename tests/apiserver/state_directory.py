"""A state directory with a database and a backup, for testing starts of the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controller import __version__
from controller.apiserver.storage import database, recovery
from controller.apiserver.storage.backups import Backups
from controller.apiserver.storage.store import Store
from tests.apiserver.storage.test_store import put


class StateDirectory:
    """A state directory with a database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "api" / "objects.db"
        self.backups = Backups(directory / "backups", lambda: 0.0)
        self.path.parent.mkdir(parents=True)

    def write(self, *names: str) -> None:
        """Write objects with these names."""
        asyncio.run(self._write(names))

    async def _write(self, names: tuple[str, ...]) -> None:
        store = Store(self.path)
        await store.open()
        for name in names:
            await put(store, name)
        await store.close()

    def start(self) -> tuple[str, list[str]]:
        """Start; return the reported loss and the names of the objects found."""
        lost = recovery.prepare(self.path, self.backups, __version__, witness=self.directory / "kubeconfig")
        return lost, asyncio.run(self._read())

    async def _read(self) -> list[str]:
        store = Store(self.path)
        await store.open()
        names = [item["metadata"]["name"] for item in store.select("things", "")]
        await store.close()
        return names

    def files(self) -> dict[str, int]:
        """All files with their inodes, except SQLite's index of the log."""
        found = [path for path in self.directory.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
        return {str(path.relative_to(self.directory)): path.stat().st_ino for path in found}

    def readable_by_others(self) -> list[str]:
        """Files that other users may read or write."""
        return [name for name in self.files() if (self.directory / name).stat().st_mode & 0o077]

    def forget_log(self) -> None:
        """Remove the side files, as release 0.1 did on a clean stop."""
        for suffix in database.SIDE_FILES:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def written(directory: Path) -> StateDirectory:
    """A state directory with objects and a backup taken before the last write."""
    made = StateDirectory(directory)
    made.write("kept")
    made.backups.take(made.path)
    made.write("newer")
    return made
