"""The identity of this installation in the state directory: install id, node name, retirement.

Each value is one small file, written atomically (temporary file, fsync, rename). Objects are in the API's store;
metrics and leases have their own folders.
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
# This name must stay: existing installations keep there how to give an interface back to the host.
PASSTHROUGH = "lent"  # host interfaces in containers
METRICS = "metrics"
API = "api"
BACKUPS = "backups"
FOLDERS = (LEASES, PASSTHROUGH, METRICS, API, BACKUPS)
FILES = (INSTALL_ID, NODE_NAME, KUBECONFIG)


class State:
    """The values in one directory, which is created with mode 0700 on the first write.

    Writing and locking raise errors.SettingError when the directory cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def install_id(self, preferred: str | None = None) -> str:
        """Return the id behind every label and MAC address: ``preferred`` (the agent id) at first start, then fixed."""
        return self._stored(INSTALL_ID, preferred or secrets.token_hex(4))

    def known_install_id(self) -> str:
        """Return the stored id, "" before the first start."""
        path = self.directory / INSTALL_ID
        return path.read_text().strip() if path.exists() else ""

    def node_name(self, default: str) -> str:
        """Return the node name fixed at the first start; a later change of the host name has no effect."""
        return self._stored(NODE_NAME, default)

    @property
    def retired(self) -> bool:
        """Whether ``delete_orchestrator`` retired the agent, which keeps the link down permanently."""
        return (self.directory / RETIRED).exists()

    def retire(self) -> None:
        """Keep the link down from now on, across restarts."""
        self.write(RETIRED, "retired by delete_orchestrator; undo with `edge-controller reset`")

    def reset(self) -> bool:
        """Undo the retirement; return whether there was one."""
        was = self.retired
        (self.directory / RETIRED).unlink(missing_ok=True)
        return was

    def forget(self) -> None:
        """Remove everything of ours except the retirement and the lock; other files in the directory stay."""
        # The lock is held until the process ends; without its file another controller could take a new one.
        for name in (*FOLDERS, *FILES):
            path = self.directory / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def write(self, name: str, text: str) -> None:
        """Write one file (mode 0600) atomically: a power cut leaves either the old or the new one."""
        self._make_directory()
        try:
            files.write_secret(self.directory / name, text.encode())
        except OSError as error:
            raise self._unusable(error) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the directory. Raises errors.SettingError when another controller uses it."""
        self._make_directory()
        try:
            descriptor = os.open(self.directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        with os.fdopen(descriptor, "w") as file:
            try:
                # The kernel releases it when the process ends in any way, so a leftover file never blocks a start.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise errors.SettingError(
                    f"another edge-controller uses EDGE_STATE_DIR {self.directory}; stop it or set another directory"
                ) from None
            yield

    def tighten(self) -> None:
        """Make the state private: earlier versions, Docker and a wide umask left folders and files readable."""
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

    def _stored(self, name: str, value: str) -> str:
        path = self.directory / name
        # An empty file, as an interrupted copy leaves it, must not become an empty id in labels and addresses.
        if path.exists() and (kept := path.read_text().strip()):
            return kept
        self.write(name, value)
        return value

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise errors.SettingError(
                f"EDGE_STATE_DIR {self.directory} cannot be created: {error.strerror}; set a writable directory"
            ) from error
