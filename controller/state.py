"""Who this installation is, kept in the state directory: install id, node name, retired or not.

Each fact is one small file, written whole or not at all (temporary file, fsync, rename). Nothing else lives here:
objects are in the API's store, metrics and leases in their own folders.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from controller import errors, files

INSTALL_ID = "install-id"
NODE_NAME = "node-name"
RETIRED = "retired"
LOCK = "lock"
KUBECONFIG = "kubeconfig"
LEASES = "leases"
LENT = "lent"  # interfaces of the host that are in containers
METRICS = "metrics"
API = "api"
BACKUPS = "backups"
FOLDERS = (LEASES, LENT, METRICS, API, BACKUPS)


class State:
    """The facts in one directory, which is made with mode 0700 when the first is written.

    Writing and locking raise errors.SettingError when the directory cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def install_id(self, preferred: str | None = None) -> str:
        """The id every label and MAC address hangs on: ``preferred`` (the agent id) at first start, then kept."""
        return self._kept(INSTALL_ID, preferred or secrets.token_hex(4))

    def known_install_id(self) -> str:
        """The id that is kept, "" before the first start."""
        path = self.directory / INSTALL_ID
        return path.read_text().strip() if path.exists() else ""

    def node_name(self, default: str) -> str:
        """The name of this node as at its first start: a later host name changes nothing."""
        return self._kept(NODE_NAME, default)

    @property
    def retired(self) -> bool:
        """Whether ``delete_orchestrator`` retired the agent: the link stays down for good."""
        return (self.directory / RETIRED).exists()

    def retire(self) -> None:
        """Keep the link down from now on, over restarts."""
        self.write(RETIRED, "retired by delete_orchestrator; `edge-controller reset` lifts this")

    def reset(self) -> bool:
        """Lift the retirement; whether there was one."""
        was = self.retired
        (self.directory / RETIRED).unlink(missing_ok=True)
        return was

    def forget(self) -> None:
        """Remove everything but the retirement: nothing else of this installation remains."""
        for path in self.directory.iterdir():
            if path.name in (RETIRED, LOCK):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def write(self, name: str, text: str) -> None:
        """Write one file (mode 0600) so that a power cut leaves the old or the new one."""
        self._make_directory()
        try:
            files.write_secret(self.directory / name, text.encode())
        except OSError as error:
            raise self._unusable(error) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory; raises errors.SettingError when another controller has it."""
        self._make_directory()
        try:
            descriptor = os.open(self.directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        with os.fdopen(descriptor, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise errors.SettingError(
                    f"another edge-controller runs on EDGE_STATE_DIR {self.directory}; stop it or give another one"
                ) from None
            yield

    def tighten(self) -> None:
        """Let nobody else read what is there: earlier versions, Docker and a wide umask left folders and files open."""
        for folder in (self.directory, *(self.directory / name for name in FOLDERS)):
            if folder.is_dir() and not folder.is_symlink():
                files.tighten(folder, 0o700)
        for folder in (self.directory / API, self.directory / BACKUPS):
            for path in folder.rglob("*"):
                if not path.is_symlink():
                    files.tighten(path, 0o700 if path.is_dir() else 0o600)

    def _unusable(self, error: OSError) -> errors.SettingError:
        return errors.SettingError(
            f"EDGE_STATE_DIR {self.directory} cannot be used ({error.strerror}): {files.remedy(error)}"
        )

    def _kept(self, name: str, value: str) -> str:
        path = self.directory / name
        if path.exists() and (kept := path.read_text().strip()):
            return kept
        self.write(name, value)
        return value

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise errors.SettingError(
                f"EDGE_STATE_DIR {self.directory} cannot be made: {error.strerror}; give one that can be written"
            ) from error
