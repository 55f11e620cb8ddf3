"""A stock Debian 12 in a folder, as before any installation. Needs root and debootstrap.

Commands run in their own mount and process namespaces in the folder, so nothing they start or mount outlives them. The
network is the machine's.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support import requirements
from tests.support.command import run

PROJECT = Path(__file__).parents[2]
# Packages of a standard installation beyond the minimal one that matter for the installation of a service.
_INCLUDED = "ca-certificates,iproute2,python3,systemd"
_BASE_SECONDS = 600
_LOGIN = {"HOME": "/root", "LANG": "C.UTF-8", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}


class StockDebian:
    """One system below ``root``; removing the folder removes everything."""

    def __init__(self, root: Path) -> None:
        requirements.root()
        self.root = root
        root.mkdir()
        run("tar", "-xpf", str(_base()), "-C", str(root), timeout=120)

    def run(self, script: str, environment: dict[str, str], seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a shell script inside, in a login shell's environment plus this one; its exit kills its children."""
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={self.root}", "--mount-proc"]
        return subprocess.run(
            [*isolated, "/bin/bash", "-e", "-c", f"mount -t sysfs -o ro sysfs /sys\n{script}"],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**_LOGIN, **environment},
        )

    def copy_project(self, folder: str) -> None:
        """Copy the files of this checkout, like a clone."""
        target = self.root / folder
        target.mkdir(parents=True)
        listed = run("git", "-C", str(PROJECT), "ls-files", "-z").stdout.replace("\0", "\n")
        run("tar", "-C", str(PROJECT), "-cf", str(self.root / "project.tar"), "-T", "-", stdin=listed, timeout=120)
        run("tar", "-C", str(target), "-xf", str(self.root / "project.tar"), timeout=120)


def _base() -> Path:
    """Return the archive of the system, created once (minutes) from the machine's package source."""
    run(str(PROJECT / "scripts/apt.sh"), "debootstrap:debootstrap", timeout=300)
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edge-controller/debian"
    archive = folder / f"bookworm-{_INCLUDED.replace(',', '-')}.tar"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        tree = folder / f".{os.getpid()}.tree"
        try:
            arguments = ("--variant=minbase", f"--include={_INCLUDED}", "bookworm", str(tree))
            run("debootstrap", *arguments, timeout=_BASE_SECONDS)
            run("tar", "-C", str(tree), "-cpf", f"{archive}.partial", ".", timeout=300)
            Path(f"{archive}.partial").rename(archive)
        finally:
            run("rm", "-rf", str(tree), timeout=120)
    return archive
