"""A real file system of a few megabytes, mounted in a test's folder, that can be filled and freed."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

CHUNKS = (1 << 20, 4096, 512)


class SmallDisk:
    """One mounted file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Write until the file system is full."""
        with self._filler.open("ab", buffering=0) as file:
            for size in CHUNKS:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\1" * size)
                        os.fsync(file.fileno())

    def use_up_inodes(self) -> None:
        """Create files until no inodes are left."""
        folder = self.path / "files"
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            for number in range(1_000_000):
                (folder / str(number)).touch()

    def free(self) -> None:
        """Remove what filled it."""
        self._filler.unlink(missing_ok=True)
        for file in (self.path / "files").glob("*"):
            file.unlink()

    def read_only(self, on: bool) -> None:
        """Remount it read-only, as the kernel does with a failing card, or read-write again."""
        run("mount", "-o", f"remount,{'ro' if on else 'rw'}", str(self.path))


@contextlib.contextmanager
def tmpfs(path: Path, size: str = "32m", inodes: int = 0) -> Iterator[SmallDisk]:
    """Mount a file system in memory."""
    options = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")
    path.mkdir()
    run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path))
    with _mounted(path) as disk:
        yield disk


@contextlib.contextmanager
def ext4(path: Path, size: str = "48M") -> Iterator[SmallDisk]:
    """Mount a file system in a file, with delayed allocation like a real disk."""
    image = path.with_name(f"{path.name}.img")
    run("truncate", "-s", size, str(image))
    run("mkfs.ext4", "-q", "-F", str(image))
    path.mkdir()
    run("mount", "-o", "loop", str(image), str(path))
    with _mounted(path) as disk:
        yield disk


@contextlib.contextmanager
def _mounted(path: Path) -> Iterator[SmallDisk]:
    try:
        yield SmallDisk(path)
    finally:
        run("umount", "--lazy", str(path))


def run(*command: str) -> None:
    """Run a program and require success."""
    subprocess.run(command, check=True, capture_output=True)
