"""Usage of containers from cgroup files: v1, v2 and hybrid trees, and a real cgroup of this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from controller.metrics import cgroups
from controller.metrics.containers import ContainerReader
from tests.support import ownership, requirements
from tests.support.descriptors import opened

MIB = 1 << 20
CONTAINER = "ab" * 32
CGROUPS = "/sys/fs/cgroup/"
V1_STAT = "cache 1\ninactive_file 5\ntotal_cache 9\ntotal_inactive_file 1048576\n"
# In the order of Linux 6.12; older kernels print fewer lines.
V2_STAT = """anon 4194304
file 3145728
kernel 1245184
kernel_stack 49152
pagetables 163840
sec_pagetables 0
percpu 1440
sock 0
vmalloc 0
shmem 0
zswap 0
zswapped 0
file_mapped 1056768
file_dirty 0
file_writeback 0
swapcached 0
anon_thp 2097152
file_thp 0
shmem_thp 0
inactive_anon 4214784
active_anon 4096
inactive_file 1048576
active_file 2097152
unevictable 0
slab_reclaimable 569344
slab_unreclaimable 389120
slab 958464
workingset_refault_file 0
pgfault 1518
pgmajfault 7
"""
V2_CPU = """usage_usec {0}
user_usec 1
system_usec 2
nice_usec 0
core_sched.force_idle_usec 0
nr_periods 0
nr_throttled 0
throttled_usec 0
nr_bursts 0
burst_usec 0
"""


class FakeHost:
    """A fake /proc and /sys/fs/cgroup, with a clock controlled by the test."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.cgroup = root / "cgroup"
        self.now = 100.0
        self.reader = ContainerReader(proc=self.proc, sys_fs_cgroup=self.cgroup, clock=lambda: self.now)

    def process(self, pid: int, table: str, start: int = 7) -> None:
        folder = self.proc / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup").write_text(table)
        (folder / "stat").write_text(f"{pid} (a (b) c) S " + "0 " * 18 + f"{start} 0 0\n")

    def end(self, pid: int) -> None:
        for file in (self.proc / str(pid)).iterdir():
            file.unlink()
        (self.proc / str(pid)).rmdir()

    def v1(self, path: str, nanoseconds: int, memory: int, *, joined: bool = False) -> None:
        self._write(f"{'cpu,cpuacct' if joined else 'cpuacct'}{path}/cpuacct.usage", f"{nanoseconds}\n")
        self._write(f"memory{path}/memory.usage_in_bytes", f"{memory}\n")
        self._write(f"memory{path}/memory.stat", V1_STAT)

    def v2(self, path: str, microseconds: int, memory: int) -> None:
        self._write("cgroup.controllers", "cpu memory\n")
        self._write(f"{path.lstrip('/')}/cpu.stat", V2_CPU.format(microseconds))
        self._write(f"{path.lstrip('/')}/memory.current", f"{memory}\n")
        self._write(f"{path.lstrip('/')}/memory.stat", V2_STAT)

    def _write(self, name: str, content: str) -> None:
        path = self.cgroup / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    made = FakeHost(tmp_path)
    yield made
    made.reader.close()


def test_v1_cgroups_have_the_values_of_docker_stats(host: FakeHost) -> None:
    host.process(10, "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n")
    host.v1("/docker/abc", 1_000_000_000, 5 * MIB, joined=True)
    assert host.reader.read({"plc": 10}) == {}
    host.now += 5
    host.v1("/docker/abc", 8_500_000_000, 5 * MIB, joined=True)
    (reading,) = host.reader.read({"plc": 10}).values()
    assert reading.cpu_percent == pytest.approx(150.0)
    assert reading.memory_used == 4 * MIB


def test_v2_cgroups_have_the_values_of_docker_stats(host: FakeHost) -> None:
    scope = "/system.slice/docker-abc.scope"
    host.process(10, f"0::{scope}\n")
    host.v2(scope, 1_000_000, 3 * MIB)
    host.reader.read({"plc": 10})
    host.now += 10
    host.v2(scope, 2_000_000, 3 * MIB)
    (reading,) = host.reader.read({"plc": 10}).values()
    assert reading.cpu_percent == pytest.approx(10.0)
    assert reading.memory_used == 2 * MIB


def test_a_hybrid_hosts_controllers_are_found(host: FakeHost) -> None:
    (host.cgroup / "cpuacct").mkdir(parents=True)
    host.process(10, "5:memory:/docker/abc\n3:cpuacct:/docker/abc\n0::/docker/abc\n")
    files = cgroups.resolve(10, host.proc, host.cgroup)
    assert files.cpu == host.cgroup / "cpuacct/docker/abc/cpuacct.usage"
    assert files.memory == host.cgroup / "memory/docker/abc/memory.usage_in_bytes"


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/burstable/pod3c1/{CONTAINER}",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3c1.slice/cri-containerd-{CONTAINER}.scope",
        f"/kubepods.slice/kubepods-pod3c1.slice/crio-{CONTAINER}.scope",
        f"/k3s/kubepods/besteffort/pod3c1/{CONTAINER}",
    ],
    ids=["cgroupfs", "systemd", "CRI-O", "below a root of its own"],
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_pods_cgroup_is_found_by_its_container_id(host: FakeHost, path: str, version: str) -> None:
    pause, other = path.replace(CONTAINER, "c" * 64), path.replace(CONTAINER, "d" * 64)
    tables = {"v1": "4:memory:{0}\n2:cpu,cpuacct:{0}\n0::/\n", "v2": "0::{0}\n"}
    for pid, place, start in ((10, pause, 5), (12, path, 9), (31, path, 7), (40, other, 1), (50, "/", 0)):
        host.process(pid, tables[version].format(place), start)
    monitor = path.replace(CONTAINER, f"crio-conmon-{CONTAINER}.scope")
    host.process(20, tables[version].format(monitor), 6)
    (host.proc / "self").mkdir()

    found = cgroups.first_processes([CONTAINER, "e" * 64], host.proc)

    assert found == {
        CONTAINER: 31
    }  # later processes in the container do not count, even if their pids have wrapped around
    for nanoseconds in (10**9, 6 * 10**9):
        if version == "v1":
            host.v1(path, nanoseconds, 5 * MIB, joined=True)
        else:
            host.v2(path, nanoseconds // 1000, 5 * MIB)
        readings = host.reader.read({"plc": found[CONTAINER]})
        host.now += 5
    assert readings["plc"].cpu_percent == pytest.approx(100.0)
    assert readings["plc"].memory_used == 4 * MIB


def test_memory_below_the_inactive_cache_is_not_reduced() -> None:
    assert cgroups.parse_memory(b"100\n", V2_STAT.encode()) == 100


@pytest.mark.parametrize("table", ["0::/\n", "0::/../../abc\n", "4:memory:/\n2:cpuacct:/\n0::/\n"])
def test_the_host_root_cgroup_is_never_used(host: FakeHost, table: str, caplog: pytest.LogCaptureFixture) -> None:
    host.process(10, table)
    host.v2("/", 1, 1)
    for _ in range(3):
        assert host.reader.read({"plc": 10}) == {}
        host.now += 5
    assert caplog.text.count("Cannot read the usage of plc") == 1


def test_a_reused_pid_is_not_the_container(host: FakeHost) -> None:
    host.process(10, "0::/a\n")
    host.v2("/a", 0, MIB)
    host.reader.read({"plc": 10})
    host.now += 5
    (host.cgroup / "a/memory.current").write_text("")  # the container ended: its files are no longer readable
    assert host.reader.read({"plc": 10}) == {}
    host.process(10, "0::/b\n", start=9999)
    host.v2("/b", 0, 2 * MIB)
    for _ in range(2):
        host.now += 5
        assert host.reader.read({"plc": 10}) == {}


def test_a_restarted_container_is_read_under_its_new_process(host: FakeHost) -> None:
    host.process(10, "0::/a\n")
    host.v2("/a", 0, MIB)
    host.reader.read({"plc": 10})
    host.end(10)
    host.process(11, "0::/b\n")
    host.v2("/b", 0, 8 * MIB)
    host.now += 5
    assert host.reader.read({"plc": 11}) == {}
    host.now += 5
    assert host.reader.read({"plc": 11}) == {"plc": (0.0, 7 * MIB)}


def test_a_process_that_is_gone_has_no_reading_and_no_warning(host: FakeHost, caplog: pytest.LogCaptureFixture) -> None:
    assert host.reader.read({"plc": 10}) == {}
    assert caplog.text == ""


def test_files_of_dropped_containers_are_closed(host: FakeHost) -> None:
    host.process(10, "0::/a\n")
    host.v2("/a", 0, MIB)
    host.reader.read({"plc": 10})
    assert opened(str(host.cgroup)) == 3
    host.reader.read({})
    assert opened(str(host.cgroup)) == 0


# A page is charged to the cgroup that touches it first, so the process allocates memory after it has been moved.
BUSY_MEMORY = 16 * MIB
BUSY = f"import sys\nsys.stdin.read(1)\nkept = b'x' * {BUSY_MEMORY}\nwhile True: pass"


class BusyProcess:
    """A process in its own real cgroups that keeps one core busy and uses some memory."""

    def __init__(self, root: Path, hierarchies: Sequence[str]) -> None:
        name = ownership.new_name("edge-test-")
        self._groups = [root / hierarchy / name for hierarchy in hierarchies]
        self._process = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE)
        self.pid = self._process.pid

    def start(self) -> None:
        for group in self._groups:
            group.mkdir()
            (group / "cgroup.procs").write_text(str(self.pid))
        assert self._process.stdin
        self._process.stdin.close()

    def use_cpu(self, seconds: float) -> None:
        """Wait until the process has used this much more CPU time."""
        used = cgroups.resolve(self.pid, Path("/proc"), Path("/sys/fs/cgroup")).cpu
        start = cgroups.parse_cpu(used.read_bytes())
        while cgroups.parse_cpu(used.read_bytes()) - start < seconds:
            os.sched_yield()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for group in self._groups:
            if group.exists():
                group.rmdir()


@pytest.fixture
def busy_process() -> Iterator[BusyProcess]:
    requirements.root()
    unified = Path(CGROUPS, "cgroup.controllers").exists()
    with contextlib.closing(BusyProcess(Path(CGROUPS), [""] if unified else ["cpuacct", "memory"])) as process:
        process.start()
        yield process


def test_the_cpu_time_of_a_real_v2_cgroup_is_read_on_every_host(tmp_path: Path) -> None:
    requirements.root()
    # Also with the controllers on v1: the kernel counts CPU time in any v2 cgroup, but memory only with its controller.
    subprocess.run(["mount", "-t", "cgroup2", "none", tmp_path], check=True)
    try:
        with contextlib.closing(BusyProcess(tmp_path, [""])) as process:
            process.start()
            table = Path(f"/proc/{process.pid}/cgroup").read_text()
            cpu = tmp_path / table.partition("0::/")[2].splitlines()[0] / "cpu.stat"
            while cgroups.parse_cpu(cpu.read_bytes()) < 0.1:
                os.sched_yield()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_real_cgroup_is_read_until_it_is_removed(busy_process: BusyProcess) -> None:
    reader = ContainerReader()
    pids = {"plc": busy_process.pid}
    reader.read(pids)
    busy_process.use_cpu(0.2)
    reading = reader.read(pids)["plc"]
    assert reading.cpu_percent > 0
    assert BUSY_MEMORY <= reading.memory_used < 200 * MIB
    before = opened(CGROUPS)
    busy_process.close()
    assert reader.read(pids) == {}
    assert opened(CGROUPS) == before - 3
    assert reader.read(pids) == {}
    reader.close()
