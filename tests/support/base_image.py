"""A base for the controller's image from this machine's files, because tests have no registry.

It contains what the Dockerfile needs: Debian's Python 3.11 with its library, pip, nsenter, a shell.
"""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pip

from tests.support import image, image_files
from tests.support.command import SYSTEM_PATH, run
from tests.support.image_files import Entry

REFERENCE = "localhost/edge-base:1"
_WITHOUT = {"__pycache__", "test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "turtledemo", "pydoc_data"}
_PROGRAMS = ("nsenter",)
# Wheels include their libraries, except those that every system has (PEP 600).
_LIBRARIES = (
    *("libgcc_s.so.1", "libstdc++.so.6", "libpthread.so.0", "librt.so.1", "libdl.so.2", "libm.so.6", "libutil.so.1"),
    *("libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2"),
)


def make() -> image.Image:
    """Build the base. Raises image_files.ImageFailed when the machine lacks a part of it."""
    settings: dict[str, object] = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    return image.Image(REFERENCE, image.Layer(image.tar(list(_entries()))), settings)


def _entries() -> Iterator[Entry]:
    for folder in ("etc", "proc", "root", "run", "sys", "usr", "usr/local", "usr/local/bin", "var", "var/lib", "dev"):
        yield Entry(folder, mode=0o755, kind=image_files.FOLDER)
    yield Entry("tmp", mode=0o1777, kind=image_files.FOLDER)
    yield Entry("var/run", kind=image_files.LINK, target="/run")
    yield Entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    yield Entry("etc/group", b"root:x:0:\n")
    yield from image_files.busybox()
    files = {Path(file) for file in (*_python(), *_tools(), *_libraries())}
    files |= {library for file in files if _is_binary(file) for library in image_files.libraries(file)}
    for file in sorted(files):
        yield image_files.copy(file)
    yield from _pip()


def _python() -> Iterator[Path]:
    executable = Path(image_files.PYTHON).resolve()
    yield executable
    library = Path(
        run(image_files.PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))").stdout.strip()
    )
    for file in library.rglob("*"):
        parts = set(file.relative_to(library).parts)
        if file.is_file() and not parts & _WITHOUT and not any(part.startswith("config-") for part in parts):
            yield file


def _tools() -> Iterator[Path]:
    for name in _PROGRAMS:
        found = shutil.which(name, path=SYSTEM_PATH)
        if not found:
            raise image_files.ImageFailed(f"the base image needs {name}: apt-get install util-linux")
        yield Path(found).resolve()


def _libraries() -> Iterator[Path]:
    folder = Path("/lib") / str(sysconfig.get_config_var("MULTIARCH"))
    yield from (folder / name for name in _LIBRARIES)


def _pip() -> Iterator[Entry]:
    """As the pip of this Python, which has no compiled parts; and the names that the Dockerfile calls."""
    source = Path(pip.__file__).parent
    for file in sorted(source.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield image_files.copy(file, f"usr/lib/python3/dist-packages/pip/{file.relative_to(source)}")
    executable = Path(image_files.PYTHON).resolve()
    for name in ("python", "python3"):
        yield Entry(f"usr/local/bin/{name}", kind=image_files.LINK, target=str(executable))
    for tool in _PROGRAMS:
        found = Path(shutil.which(tool, path=SYSTEM_PATH) or "").resolve()
        yield Entry(f"usr/local/bin/{tool}", kind=image_files.LINK, target=str(found))


def _is_binary(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"
