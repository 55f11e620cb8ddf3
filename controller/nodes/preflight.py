"""Checks whether a host is fit for runtimes: one finding per check, with the remedy where something is wrong.

Blocking. Changes nothing except for a temporary file in the state directory. The caller queries the engine.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from controller import RELEASED, errors, open_files
from controller.cloud import transport
from controller.cloud.identity import Identity
from controller.disk import on_host
from controller.network.interfaces import HostInterface
from controller.settings import Settings

Level = Literal["OK", "WARN", "FAIL"]

CERTIFICATE_NOTICE = timedelta(days=30)
DISK_NOTICE = 2 << 30  # bytes free
DISK_LEAST = 200 << 20
OPEN_FILES_LEAST = 8192  # all limits on connections add up to 3000, and a running container takes three
PROGRAMS = {"mount": "mount", "umount": "mount"}
# capability.h: bit numbers
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}

# Raspberry Pi OS has the memory cgroup off by default.
_BOOT = (
    "add cgroup_enable=memory cgroup_memory=1 to the kernel's command line (cmdline.txt, GRUB_CMDLINE_LINUX), reboot"
)


class Finding(NamedTuple):
    """The result of one check; ``text`` ends with the remedy where something is wrong."""

    level: Level
    subject: str
    text: str


def host(settings: Settings, interfaces: Sequence[HostInterface], now: datetime) -> Iterator[Finding]:
    """All checks that do not need the engine."""
    yield clock(now, settings.state_dir)
    yield state_directory(settings.state_dir)
    yield free_space(settings.state_dir)
    yield cloud(settings)
    yield certificate(settings, now)
    yield privileges()
    yield open_file_limit(open_files.limit())
    yield from programs()
    yield macvlan()
    yield cgroups()
    yield parents(interfaces)


def clock(now: datetime, state_dir: Path) -> Finding:
    """Whether the clock is behind the release or the state directory's files, which breaks TLS."""
    newest = max((path.stat().st_mtime for path in _entries(state_dir)), default=0.0)
    if now < RELEASED or now.timestamp() < newest - 60:
        return Finding("FAIL", "clock", f"{now:%Y-%m-%d %H:%M} UTC is in the past: set the clock or enable NTP")
    return Finding("OK", "clock", f"{now:%Y-%m-%d %H:%M} UTC")


def state_directory(path: Path) -> Finding:
    """Whether it is writable, or can be created."""
    subject = "state directory"
    directory = _nearest_directory(path)
    try:
        # A real file, because root passes every check of permissions, even in /proc.
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        return Finding("FAIL", subject, f"cannot write to {path} ({error.strerror}): run as root or set EDGE_STATE_DIR")
    return Finding("OK", subject, f"{path} is writable" if directory == path else f"{path} can be created")


def free_space(path: Path) -> Finding:
    """Free space for the state."""
    return _space("disk", path, shutil.disk_usage(_nearest_directory(path)).free)


def engine(version: str, *, is_rootless: bool) -> Finding:
    """Whether it is an engine that can connect runtimes to the LAN."""
    if is_rootless:
        return Finding("FAIL", "Docker", "rootless engines cannot give LAN addresses: use the system's engine")
    return Finding("OK", "Docker", version)


def engine_space(root: str) -> Iterator[Finding]:
    """Free space for the engine's images and containers, if its directory is visible from here."""
    if root:
        with contextlib.suppress(OSError):
            found = on_host(Path(root))
            yield _space("Docker's disk", Path(root), found.f_bavail * found.f_frsize)


def _space(subject: str, path: Path, free: int) -> Finding:
    text = f"{free / (1 << 30):.1f} GB free for {path}"
    if free < DISK_LEAST:
        return Finding("FAIL", subject, f"{text}: free some space")
    return Finding("WARN", subject, f"{text}: images need more") if free < DISK_NOTICE else Finding("OK", subject, text)


def cloud(settings: Settings) -> Finding:
    """Whether the cloud's URL is valid; sends nothing."""
    if not settings.cloud_url:
        return Finding("OK", "cloud", "none: EDGE_CLOUD_URL is empty")
    try:
        transport.check(settings.cloud_url)
    except errors.LinkError as error:
        return Finding("FAIL", "cloud", str(error))
    return Finding("OK", "cloud", settings.cloud_url)


def certificate(settings: Settings, now: datetime) -> Finding:
    """Whether the client certificate fits its key and is valid for some time to come."""
    if not settings.cloud_url:
        return Finding("OK", "certificate", "not needed: EDGE_CLOUD_URL is empty")
    try:
        identity = Identity.load(settings.client_cert, settings.client_key, settings.cloud_ca, now.timestamp)
    except errors.IdentityError as error:
        return Finding("FAIL", "certificate", str(error))
    text = f"agent {identity.agent_id}, valid until {identity.not_after:%Y-%m-%d}"
    if identity.not_after - now < CERTIFICATE_NOTICE:
        return Finding("WARN", "certificate", f"{text}: replace it soon")
    return Finding("OK", "certificate", text)


def privileges(status: Path = Path("/proc/self/status")) -> Finding:
    """Whether we have the capabilities needed to configure interfaces in a container's network namespace."""
    line = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    missing = [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
    if missing:
        return Finding("FAIL", "privileges", f"{', '.join(missing)} missing: run as root, or grant them in the unit")
    return Finding("OK", "privileges", "sufficient to configure network namespaces")


def open_file_limit(limit: int) -> Finding:
    """Whether the service may open enough files; ``limit`` is the hard one."""
    if limit < OPEN_FILES_LEAST:
        return Finding("WARN", "open files", f"at most {limit}: set LimitNOFILE=65536 in the unit, or ulimit -Hn")
    return Finding("OK", "open files", f"up to {limit}")


def programs(find: Callable[[str], str | None] = shutil.which) -> Iterator[Finding]:
    """Whether the programs that the controller calls are installed."""
    for program, package in PROGRAMS.items():
        if found := find(program):
            yield Finding("OK", f"program {program}", found)
        else:
            yield Finding("FAIL", f"program {program}", f"not found: apt-get install {package}")


def macvlan(modules: Path = Path("/lib/modules"), loaded: Path = Path("/sys/module")) -> Finding:
    """Whether the kernel supports macvlan interfaces."""
    if (loaded / "macvlan").exists():
        return Finding("OK", "macvlan", "in the kernel")
    folder = modules / platform.release()
    # /sys/module shows a built-in module only if it has parameters or a version.
    lists = [folder / "modules.builtin", folder / "modules.dep"]
    readable = [path for path in lists if path.exists()]
    if any("/macvlan.ko" in path.read_text() for path in readable):
        return Finding("OK", "macvlan", "available as a kernel module")
    if readable:
        return Finding("FAIL", "macvlan", "this kernel has no macvlan: use one with CONFIG_MACVLAN")
    return Finding("WARN", "macvlan", "cannot tell whether this kernel has it; the first start of a runtime will show")


def cgroups(root: Path = Path("/sys/fs/cgroup")) -> Finding:
    """Whether cgroups provide usage figures of containers."""
    if (root / "cgroup.controllers").exists():
        return Finding("OK", "cgroups", "version 2")
    if (root / "memory").is_dir() and any((root / name).is_dir() for name in ("cpuacct", "cpu,cpuacct")):
        return Finding("OK", "cgroups", "version 1")
    return Finding(
        "WARN", "cgroups", f"{root} has no memory and CPU controllers: there will be no usage figures of runtimes"
    )


def engine_limits(bounds: Collection[str], meminfo: Path = Path("/proc/meminfo")) -> Iterator[Finding]:
    """Which limits the engine can enforce; ``bounds`` has "memory", "swap" and "processes" where it can."""
    if "memory" not in bounds:
        yield Finding(
            "WARN", "memory limits", f"this host cannot limit memory, so spec.resources.memory has no effect: {_BOOT}"
        )
    elif "swap" not in bounds and _has_swap(meminfo):
        yield Finding(
            "WARN",
            "memory limits",
            "runtimes that reach their limit use swap: boot with swapaccount=1, or run swapoff -a",
        )
    else:
        yield Finding("OK", "memory limits", "spec.resources.memory is enforced")
    if "processes" not in bounds:
        yield Finding(
            "WARN",
            "process limits",
            "the kernel has no pids cgroup, which stops fork bombs: use one with CONFIG_CGROUP_PIDS",
        )


def confinement(unconfined: Sequence[str]) -> Finding:
    """Containers that an earlier version created with more capabilities than they need."""
    if not unconfined:
        return Finding("OK", "old capabilities", "no runtime has capabilities beyond its spec")
    named = ", ".join(unconfined[:20]) + (f" and {len(unconfined) - 20} more" if len(unconfined) > 20 else "")
    remedy = "run `docker rm -f NAME`, which stops the program; the controller creates a new container"
    return Finding("WARN", "old capabilities", f"{named} can create device nodes and open host consoles: {remedy}")


def _has_swap(meminfo: Path) -> bool:
    total = next((line.split()[1] for line in meminfo.read_text().splitlines() if line.startswith("SwapTotal:")), "0")
    return total != "0"


def parents(interfaces: Sequence[HostInterface]) -> Finding:
    """Whether an interface that can be a parent of runtimes is up."""
    found = [f"{i.name} ({i.ip_address or 'no address'}{'' if i.is_up else ', down'})" for i in interfaces]
    if not any(interface.is_up for interface in interfaces):
        seen = f": {', '.join(found)}" if found else ""
        return Finding("WARN", "parent interfaces", f"none is up{seen}; runtimes wait until one is")
    return Finding("OK", "parent interfaces", ", ".join(found))


def _nearest_directory(path: Path) -> Path:
    """The path itself, or its nearest existing parent directory."""
    return next(directory for directory in (path, *path.parents) if directory.is_dir())


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if os.access(folder, os.R_OK) and folder.is_dir() else []
