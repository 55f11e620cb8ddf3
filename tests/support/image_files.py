"""Selects the files of this machine for the runtime image: those that its control server loads.

The system's Python (Debian's, not a virtual environment's) lists the modules that the control server imports, and ldd
the libraries that the binaries need. So the image fits the machine and is small.
"""

from __future__ import annotations

import datetime
import platform
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.command import run

FOLDER, LINK = tarfile.DIRTYPE, tarfile.SYMTYPE
PYTHON = "/usr/bin/python3"
CONTROL = "/control.py"
_SOURCE = Path(__file__).parent / "runtime/control.py"
_FOLDERS = ("bin", "dev", "etc", "proc", "root", "run", "sbin", "sys", "usr", "usr/bin", "var", "var/run")
_LIST_LOADED = """
import os, runpy, sys
runpy.run_path(sys.argv[1], run_name="listed")
print(sys.version_info[1], os.path.dirname(os.__file__), os.path.realpath(sys.executable), sep="\\n")
for module in list(sys.modules.values()):
    for path in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
        if path and path.startswith("/usr/") and os.path.exists(path):
            print(path)
"""


class ImageFailed(Exception):  # noqa: N818 - an outcome
    """The image cannot be built on this machine; the message says what to install."""


@dataclass(frozen=True)
class Entry:
    """One entry of a layer: a file, folder or link, by ``kind`` (tarfile's types)."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    modified: int = 0

    def tar_info(self) -> tarfile.TarInfo:
        """The entry's tar header."""
        info = tarfile.TarInfo(self.path.lstrip("/"))
        info.size, info.mode, info.type = len(self.content), self.mode, self.kind
        info.linkname, info.mtime = self.target, self.modified
        return info


def architecture() -> str:
    """This machine's name in the OCI specification (GOARCH)."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def collect() -> list[Entry]:
    """Return all entries of the image's file system."""
    return [
        *(Entry(folder, mode=0o755, kind=tarfile.DIRTYPE) for folder in _FOLDERS),
        Entry("tmp", mode=0o1777, kind=tarfile.DIRTYPE),
        Entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
        Entry("etc/group", b"root:x:0:\n"),
        Entry("etc/control.pem", _self_signed(), mode=0o600),
        Entry(CONTROL, _SOURCE.read_bytes()),
        *busybox(),
        *_python(),
    ]


def busybox() -> list[Entry]:
    """Return busybox and its commands. Raises ImageFailed."""
    binary = Path("/bin/busybox")
    if not binary.exists() or libraries(binary):
        raise ImageFailed("the runtime image needs a static busybox: apt-get install busybox-static")
    commands = run(str(binary), "--list").stdout.split()
    links = [Entry(f"bin/{name}", kind=tarfile.SYMTYPE, target="busybox") for name in commands if name != "busybox"]
    return [copy(binary, "bin/busybox"), *links]


def _python() -> list[Entry]:
    listed = subprocess.run(
        [PYTHON, "-I", "-S", "-c", _LIST_LOADED, str(_SOURCE)], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise ImageFailed(
            f"the system's Python lacks what the runtime image needs (apt-get install "
            f"libpython3-stdlib): {listed.stderr.strip().splitlines()[-1]}"
        )
    minor, library, executable, *modules = listed.stdout.splitlines()
    if int(minor) < 11:
        raise ImageFailed(f"the runtime image needs Python 3.11 at {PYTHON}, this one is 3.{minor}")
    files = {Path(module) for module in modules} | {Path(executable)}
    binaries = [file for file in files if file.suffix in {".so", ""} or file == Path(executable)]
    files |= {needed for binary in binaries for needed in libraries(binary)}
    # Python finds its library by lib-dynload and os.py.
    marks = [Entry(f"{library}/lib-dynload", mode=0o755, kind=tarfile.DIRTYPE)]
    return [*marks, *(copy(file) for file in sorted(files)), _link_to(executable)]


def _link_to(executable: str) -> Entry:
    return Entry(PYTHON, kind=tarfile.SYMTYPE, target=executable)


def libraries(binary: Path) -> set[Path]:
    """Return the shared libraries that a program or library needs."""
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", run("ldd", str(binary), check=False).stdout)}


def copy(file: Path, to: str | None = None) -> Entry:
    """Return a file of this machine, under its own path or another."""
    # Keep the time: compiled modules are only valid with a source of the recorded time.
    state = file.stat()
    return Entry(to or str(file), file.read_bytes(), state.st_mode & 0o777, modified=int(state.st_mtime))


def _self_signed() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "runtime")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
