"""Device nodes in a container's root, which may lead anywhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from controller import errors
from controller.devices import nodes
from controller.devices.serial import SerialDevice

PID = 7
DEVICE = SerialDevice("usb-1", "/dev/ttyUSB0", os.makedev(188, 0), 0o640, 3, 4)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with one process, whose root is a folder."""
    (tmp_path / "proc/7/root/dev").mkdir(parents=True)
    return tmp_path / "proc"


def test_a_node_has_number_owner_and_mode_of_the_hosts(proc: Path) -> None:
    nodes.place(PID, "/dev/plc/line0", DEVICE, proc)
    status = (proc / "7/root/dev/plc/line0").stat()
    assert stat.S_ISCHR(status.st_mode)
    assert (status.st_rdev, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (DEVICE.number, 0o640, 3, 4)
    assert nodes.stands(PID, "/dev/plc/line0", proc) == DEVICE.number


def test_a_node_of_another_number_takes_its_place_and_nothing_else_is_left(proc: Path) -> None:
    os.mknod(proc / "7/root/dev/plc0", stat.S_IFCHR | 0o600, os.makedev(188, 9))
    nodes.place(PID, "/dev/plc0", DEVICE, proc)
    assert nodes.stands(PID, "/dev/plc0", proc) == DEVICE.number
    assert [path.name for path in (proc / "7/root/dev").iterdir()] == ["plc0"]


def test_what_is_no_device_is_never_replaced_or_removed(proc: Path) -> None:
    file = proc / "7/root/dev/plc0"
    file.write_text("precious")
    with pytest.raises(errors.Retry, match="is no device"):
        nodes.place(PID, "/dev/plc0", DEVICE, proc)
    nodes.remove(PID, "/dev/plc0", proc)
    assert file.read_text() == "precious"
    assert nodes.stands(PID, "/dev/plc0", proc) is None


@pytest.mark.parametrize("path", ["/link/plc0", "/dev/../../../../etc/plc0"])
def test_no_way_out_of_the_container_is_followed(proc: Path, path: str) -> None:
    (proc / "7/root/link").symlink_to("/tmp")
    with pytest.raises(errors.Retry, match="cannot be made"):
        nodes.place(PID, path, DEVICE, proc)


def test_a_link_in_the_place_of_the_node_is_not_followed(proc: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    os.mknod(target, stat.S_IFCHR | 0o600, DEVICE.number)
    (proc / "7/root/dev/plc0").symlink_to(target)
    assert nodes.stands(PID, "/dev/plc0", proc) is None
    nodes.remove(PID, "/dev/plc0", proc)
    assert target.exists()


def test_a_node_is_removed_and_one_that_is_not_there_is_no_fault(proc: Path) -> None:
    nodes.place(PID, "/dev/plc0", DEVICE, proc)
    nodes.remove(PID, "/dev/plc0", proc)
    nodes.remove(PID, "/dev/plc0", proc)
    assert nodes.stands(PID, "/dev/plc0", proc) is None
    nodes.remove(8, "/dev/plc0", proc)
