"""What containers use, from cgroup files: v1, v2 and hybrid trees, and a real cgroup of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.metrics import cgroups, processes
from controller.metrics.containers import ContainerReader
from tests.support import ownership, requirements
from tests.support.descriptors import opened

MIB = 1 << 20
CONTAINER = "ab" * 32
CGROUPS = "/sys/fs/cgroup/"
V1_STAT = "cache 1\ninactive_file 5\ntotal_cache 9\ntotal_inactive_file 1048576\n"
V2_STAT = "anon 1\nfile 2\ninactive_anon 7\ninactive_file 1048576\n"


class Machine:
    """A /proc and a /sys/fs/cgroup in a folder, with a clock that is set by hand."""

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
        self._write(f"{path.lstrip('/')}/cpu.stat", f"usage_usec {microseconds}\nuser_usec 1\n")
        self._write(f"{path.lstrip('/')}/memory.current", f"{memory}\n")
        self._write(f"{path.lstrip('/')}/memory.stat", V2_STAT)

    def _write(self, name: str, content: str) -> None:
        path = self.cgroup / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.reader.close()


def test_v1_cgroups_are_read_as_docker_stats_shows_them(machine: Machine) -> None:
    machine.process(10, "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n")
    machine.v1("/docker/abc", 1_000_000_000, 5 * MIB, joined=True)
    assert machine.reader.read({"plc": 10}) == {}
    machine.now += 5
    machine.v1("/docker/abc", 8_500_000_000, 5 * MIB, joined=True)
    (reading,) = machine.reader.read({"plc": 10}).values()
    assert reading.cpu_percent == pytest.approx(150.0)
    assert reading.memory_used == 4 * MIB


def test_v2_cgroups_are_read_as_docker_stats_shows_them(machine: Machine) -> None:
    scope = "/system.slice/docker-abc.scope"
    machine.process(10, f"0::{scope}\n")
    machine.v2(scope, 1_000_000, 3 * MIB)
    machine.reader.read({"plc": 10})
    machine.now += 10
    machine.v2(scope, 2_000_000, 3 * MIB)
    (reading,) = machine.reader.read({"plc": 10}).values()
    assert reading.cpu_percent == pytest.approx(10.0)
    assert reading.memory_used == 2 * MIB


def test_a_hybrid_host_is_read_where_its_controllers_are(machine: Machine) -> None:
    (machine.cgroup / "cpuacct").mkdir(parents=True)
    machine.process(10, "5:memory:/docker/abc\n3:cpuacct:/docker/abc\n0::/docker/abc\n")
    files = cgroups.resolve(10, machine.proc, machine.cgroup)
    assert files.cpu == machine.cgroup / "cpuacct/docker/abc/cpuacct.usage"
    assert files.memory == machine.cgroup / "memory/docker/abc/memory.usage_in_bytes"


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
def test_a_pod_is_found_by_its_container_and_read_wherever_a_kubelet_puts_it(
    machine: Machine, path: str, version: str
) -> None:
    pause, other = path.replace(CONTAINER, "c" * 64), path.replace(CONTAINER, "d" * 64)
    tables = {"v1": "4:memory:{0}\n2:cpu,cpuacct:{0}\n0::/\n", "v2": "0::{0}\n"}
    for pid, place, start in ((10, pause, 5), (12, path, 9), (31, path, 7), (40, other, 1), (50, "/", 0)):
        machine.process(pid, tables[version].format(place), start)
    (machine.proc / "self").mkdir()

    found = processes.first([CONTAINER, "e" * 64], machine.proc)

    assert found == {CONTAINER: 31}  # a process that was sent into it, and numbers that began anew, do not count
    for nanoseconds in (10**9, 6 * 10**9):
        if version == "v1":
            machine.v1(path, nanoseconds, 5 * MIB, joined=True)
        else:
            machine.v2(path, nanoseconds // 1000, 5 * MIB)
        readings = machine.reader.read({"plc": found[CONTAINER]})
        machine.now += 5
    assert readings["plc"].cpu_percent == pytest.approx(100.0)
    assert readings["plc"].memory_used == 4 * MIB


def test_less_memory_than_inactive_cache_is_shown_as_it_is() -> None:
    assert cgroups.parse_memory(b"100\n", V2_STAT.encode()) == 100


@pytest.mark.parametrize("table", ["0::/\n", "0::/../../abc\n", "4:memory:/\n2:cpuacct:/\n0::/\n"])
def test_the_whole_host_is_never_taken_for_a_container(
    machine: Machine, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    machine.process(10, table)
    machine.v2("/", 1, 1)
    for _ in range(3):
        assert machine.reader.read({"plc": 10}) == {}
        machine.now += 5
    assert caplog.text.count("No figures of plc") == 1


def test_another_process_with_the_same_number_is_not_the_container(machine: Machine) -> None:
    machine.process(10, "0::/a\n")
    machine.v2("/a", 0, MIB)
    machine.reader.read({"plc": 10})
    machine.now += 5
    (machine.cgroup / "a/memory.current").write_text("")  # the container ended: its files cannot be read any more
    assert machine.reader.read({"plc": 10}) == {}
    machine.process(10, "0::/b\n", start=9999)
    machine.v2("/b", 0, 2 * MIB)
    for _ in range(2):
        machine.now += 5
        assert machine.reader.read({"plc": 10}) == {}


def test_a_container_is_found_again_under_its_new_process(machine: Machine) -> None:
    machine.process(10, "0::/a\n")
    machine.v2("/a", 0, MIB)
    machine.reader.read({"plc": 10})
    machine.end(10)
    machine.process(11, "0::/b\n")
    machine.v2("/b", 0, 8 * MIB)
    machine.now += 5
    assert machine.reader.read({"plc": 11}) == {}
    machine.now += 5
    assert machine.reader.read({"plc": 11}) == {"plc": (0.0, 7 * MIB)}


def test_a_process_that_is_gone_has_no_figures_and_no_complaint(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    assert machine.reader.read({"plc": 10}) == {}
    assert caplog.text == ""


def test_what_is_not_asked_for_any_more_is_closed(machine: Machine) -> None:
    machine.process(10, "0::/a\n")
    machine.v2("/a", 0, MIB)
    machine.reader.read({"plc": 10})
    assert opened(str(machine.cgroup)) == 3
    machine.reader.read({})
    assert opened(str(machine.cgroup)) == 0


# Memory is charged to the cgroup in which a page is first touched, so the process takes its own once it is there.
BUSY_MEMORY = 16 * MIB
BUSY = f"import sys\nsys.stdin.read(1)\nkept = b'x' * {BUSY_MEMORY}\nwhile True: pass"


class BusyProcess:
    """A process that keeps one core busy and some memory, in real cgroups of its own."""

    def __init__(self) -> None:
        name = ownership.new_name("edge-test-")
        unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        self._groups = [Path("/sys/fs/cgroup", kind, name) for kind in ([""] if unified else ["cpuacct", "memory"])]
        self._process = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE)
        self.pid = self._process.pid

    def begin(self) -> None:
        for group in self._groups:
            group.mkdir()
            (group / "cgroup.procs").write_text(str(self.pid))
        assert self._process.stdin
        self._process.stdin.close()

    def work(self, seconds: float) -> None:
        """Wait until the kernel has counted this much more CPU time."""
        used = cgroups.resolve(self.pid, Path("/proc"), Path("/sys/fs/cgroup")).cpu
        begin = cgroups.parse_cpu(used.read_bytes())
        while cgroups.parse_cpu(used.read_bytes()) - begin < seconds:
            os.sched_yield()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for group in self._groups:
            if group.exists():
                group.rmdir()


@pytest.fixture
def busy_process() -> Iterator[BusyProcess]:
    requirements.root()
    process = BusyProcess()
    try:
        process.begin()
        yield process
    finally:
        process.end()


def test_a_real_cgroup_shows_its_busy_process_until_it_is_removed(busy_process: BusyProcess) -> None:
    reader = ContainerReader()
    pids = {"plc": busy_process.pid}
    reader.read(pids)
    busy_process.work(0.2)
    reading = reader.read(pids)["plc"]
    assert reading.cpu_percent > 0
    assert BUSY_MEMORY <= reading.memory_used < 200 * MIB
    before = opened(CGROUPS)
    busy_process.end()
    assert reader.read(pids) == {}
    assert opened(CGROUPS) == before - 3
    assert reader.read(pids) == {}
    reader.close()
