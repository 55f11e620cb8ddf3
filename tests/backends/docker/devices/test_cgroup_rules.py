"""The cgroup rules of a container: a whole major number only for what can be unplugged."""

from __future__ import annotations

import os

import pytest

from controller.api.runtimes import SerialPort
from controller.backends.docker.devices import cgroup_rules
from controller.devices.serial_device import SerialDevice


@pytest.mark.parametrize(
    ("node", "number", "vendor", "rule"),
    [
        ("ttyUSB0", (188, 0), "", "c 188:* rw"),
        ("ttyCH343USB0", (170, 0), "1a86", "c 170:* rw"),
        ("ttyr00", (30, 2), "", "c 30:2 rw"),
        ("ttyS0", (4, 64), "", "c 4:64 rw"),
    ],
    ids=["a USB adapter", "a USB adapter of a vendor's driver", "a port in the network", "a port on the board"],
)
def test_only_what_can_be_unplugged_gets_a_whole_major_number(
    node: str, number: tuple[int, int], vendor: str, rule: str
) -> None:
    device = SerialDevice("plc", f"/dev/{node}", os.makedev(*number), 0o660, 0, 0, vendor_id=vendor)
    port = SerialPort(name="line", device_id="plc", container_path="/dev/line0")

    assert cgroup_rules.of([port], [device]) == [rule]
    assert cgroup_rules.allow([rule], device)
