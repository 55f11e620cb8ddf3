"""Creates, replaces and removes device nodes inside a running container.

An engine resolves a device once, at container start; after replugging the device, the container would keep a dead node.
The container's root is not trusted: no symlink in it is followed, owner and mode are changed through descriptors, and
only device nodes are ever replaced. Blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path, PurePosixPath

from controller import errors
from controller.api import reasons
from controller.container_root import PROC, Process, character_device, descriptor_path, folder, id_maps
from controller.devices.serial_device import SerialDevice


def find_node(process: Process, path: str, proc: Path = PROC) -> int | None:
    """Return the device number of the node at this path in the container, None when there is none that it may open."""
    try:
        where = _place(path)
        with folder(process, where.parent, proc=proc) as parent:
            status = os.stat(where.name, dir_fd=parent, follow_symlinks=False)
        users, groups = id_maps(process, proc)
    except OSError:
        return None
    is_theirs = users.has(status.st_uid) and groups.has(status.st_gid)
    return status.st_rdev if stat.S_ISCHR(status.st_mode) and is_theirs else None


def place(process: Process, path: str, device: SerialDevice, proc: Path = PROC) -> None:
    """Atomically put the device's node at this path, with its owner and mode on the host.

    Raises errors.Retry(STEP_FAILED) when something else is at that path, or the container is gone, and
    errors.Stalled(DEVICES_UNSUPPORTED) when no device can be opened there.
    """
    try:
        where = _place(path)
        users, groups = id_maps(process, proc)
        device = replace(device, owner=users.on_host(device.owner), group=groups.on_host(device.group))
        with folder(process, where.parent, make=True, proc=proc) as parent:
            _require_replaceable(where.name, parent, path)
            _put(where.name, parent, device)
    except OSError as error:
        # The file system belongs to the container's user namespace (userns-remap), as that of /dev does: mknod(2)
        # refuses our ids in it, and open(2) every device.
        if error.errno == errno.EOVERFLOW:
            message = (
                f"{path} is in a file system where userns-remap allows no devices: choose a containerPath outside /dev"
            )
            raise errors.Stalled(reasons.DEVICES_UNSUPPORTED, message) from error
        message = f"Cannot create the device {path} in the runtime: {error.strerror}"
        raise errors.Retry(reasons.STEP_FAILED, message) from error


def remove(process: Process, path: str, proc: Path = PROC) -> None:
    """Remove the node of an unplugged device: the kernel may reuse its number for another device."""
    # The container may have ended, and its nodes with it.
    with contextlib.suppress(OSError):
        where = _place(path)
        with folder(process, where.parent, proc=proc) as parent:
            if stat.S_ISCHR(os.stat(where.name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(where.name, dir_fd=parent)


def _place(path: str) -> PurePosixPath:
    """Validate the path, which is arbitrary in specs of earlier versions. Raises OSError."""
    where = PurePosixPath(path)
    if ".." in where.parts or not where.name or "\0" in path:
        raise OSError(errno.EINVAL, "it is not the path of a file")
    return where


def _require_replaceable(name: str, parent: int, path: str) -> None:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISCHR(status.st_mode):
        message = f"{path} in the runtime is not a device: choose another containerPath in spec.serialPorts"
        raise errors.Retry(reasons.STEP_FAILED, message)


def _put(name: str, parent: int, device: SerialDevice) -> None:
    # Shortened: the name may already have the 255 bytes that a file system allows.
    temporary = f".{name[:64]}.{secrets.token_hex(4)}"
    # Closed until it has its owner: nobody else in the runtime may open it in between.
    os.mknod(temporary, stat.S_IFCHR | 0o600, device.number, dir_fd=parent)
    try:
        # The runtime may have put a symlink there in the meantime; chmod(2) would follow it to a file of the host.
        with character_device(parent, temporary, device.number) as node:
            # In this order only CAP_CHOWN is needed.
            descriptor_path(node).chmod(device.mode)
            os.chown(descriptor_path(node), device.owner, device.group)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            # Up to the rename the runtime could swap the temporary file.
            _require_same(node, name, parent)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=parent)
        raise


def _require_same(node: int, name: str, parent: int) -> None:
    if not os.path.samestat(os.fstat(node), os.stat(name, dir_fd=parent, follow_symlinks=False)):
        raise OSError(errno.ESTALE, "the runtime has replaced it")
