"""The node of a device inside a running container, made and replaced by us.

An engine resolves a device once, at the start; after plugging it in again the container would keep a dead node. The
container's root is not trusted: no link in it is followed, and nothing but a device node is ever replaced. Blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from controller import errors
from controller.devices.serial import SerialDevice
from controller.resources import reasons

PROC = Path("/proc")


def stands(pid: int, path: str, proc: Path = PROC) -> int | None:
    """The number of the device node at this path in the container, None when there is none."""
    try:
        with _parent(proc / f"{pid}/root", path, make=False) as folder:
            status = os.stat(PurePosixPath(path).name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    return status.st_rdev if stat.S_ISCHR(status.st_mode) else None


def place(pid: int, path: str, device: SerialDevice, proc: Path = PROC) -> None:
    """Put the device's node there, with its owner and mode on the host, in one step.

    Raises errors.Retry(STEP_FAILED) when something else is at that path, or the container is gone.
    """
    name = PurePosixPath(path).name
    try:
        with _parent(proc / f"{pid}/root", path, make=True) as folder:
            _require_replaceable(name, folder, path)
            temporary = f".{name[:64]}.{secrets.token_hex(4)}"
            os.mknod(temporary, stat.S_IFCHR | 0o600, device.number, dir_fd=folder)
            try:
                # In this order no more than CAP_CHOWN is needed.
                os.chmod(temporary, device.mode, dir_fd=folder)
                os.chown(temporary, device.owner, device.group, dir_fd=folder, follow_symlinks=False)
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                os.unlink(temporary, dir_fd=folder)
                raise
    except OSError as error:
        message = f"The device {path} cannot be made in the runtime: {error.strerror}"
        raise errors.Retry(reasons.STEP_FAILED, message) from error


def remove(pid: int, path: str, proc: Path = PROC) -> None:
    """Take the node of a device away that is gone: its number may be another device's tomorrow."""
    name = PurePosixPath(path).name
    with contextlib.suppress(OSError), _parent(proc / f"{pid}/root", path, make=False) as folder:
        if stat.S_ISCHR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=folder)


def _require_replaceable(name: str, folder: int, path: str) -> None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISCHR(status.st_mode):
        message = f"{path} in the runtime is no device: give spec.serialPorts another containerPath"
        raise errors.Retry(reasons.STEP_FAILED, message)


@contextlib.contextmanager
def _parent(root: Path, path: str, *, make: bool) -> Iterator[int]:
    """The folder that holds the path, opened from the root without following a link."""
    with contextlib.ExitStack() as opened:
        folder = _hold(opened, os.open(root, os.O_PATH | os.O_DIRECTORY))
        parts = PurePosixPath(path).parts[1:]
        if ".." in parts:  # it would lead out of the container's root
            raise OSError(errno.EINVAL, "the path has .. in it")
        for part in parts[:-1]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=folder)
            folder = _hold(opened, os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder))
        yield folder


def _hold(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor
