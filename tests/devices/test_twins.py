"""Equal adapters: the name that they share is nobody's, wherever udev's link leads; each is known by its port."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.devices import serial_device
from controller.devices.serial import SerialDevices
from tests.support.serial_port import Host

# A CH340 has no serial number; udev and we build the same name.
CH340 = {"idVendor": "1a86", "idProduct": "7523", "product": "USB Serial"}
NAME = "usb-1a86_USB_Serial-if00"
LEFT, RIGHT = (f"platform-devices-usb-0:{port}:1.0" for port in ("1", "2"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host without devices."""
    return Host(tmp_path)


def plug_both(host: Host, linked: str = "1-1") -> None:
    """Plug both in; udev's link leads to the one at this port."""
    for number, at in enumerate(("1-1", "1-2")):
        host.plug(f"ttyUSB{number}", os.makedev(188, number), at=at, **CH340)
        if at == linked:
            (host.roots.dev / "serial/by-id" / NAME).symlink_to(f"../../ttyUSB{number}")


@pytest.mark.parametrize("linked", ["1-1", "1-2", "neither"])
def test_wherever_the_link_leads_each_is_known_by_its_port_only(host: Host, linked: str) -> None:
    plug_both(host, linked)
    left, right = devices = SerialDevices(host.roots).scan()
    assert (left.device_id, right.device_id) == (LEFT, RIGHT)
    assert [serial_device.find(devices, name) for name in (LEFT, RIGHT, "/dev/ttyUSB1")] == [left, right, right]
    for name in (NAME, f"/dev/serial/by-id/{NAME}"):
        assert serial_device.find(devices, name) is None
        assert serial_device.find_sharing(devices, name) == [left, right]
    assert serial_device.find_sharing(devices, "usb-another") == []


def test_udevs_name_of_the_port_is_used_where_it_exists(host: Host) -> None:
    plug_both(host)
    for number, name in enumerate(("pci-0000:00:14.0-usb-0:1:1.0-port0", "pci-0000:00:14.0-usbv2-0:2:1.0-port0")):
        (host.roots.dev / "serial/by-path" / name).symlink_to(f"../../ttyUSB{number}")
    devices = SerialDevices(host.roots).scan()
    assert [device.device_id for device in devices] == [
        "pci-0000:00:14.0-usb-0:1:1.0-port0",
        "pci-0000:00:14.0-usbv2-0:2:1.0-port0",
    ]


def test_a_name_that_a_person_gave_is_kept(host: Host) -> None:
    plug_both(host)
    (host.roots.dev / "serial/by-id/press").symlink_to("../../ttyUSB1")
    devices = SerialDevices(host.roots).scan()
    assert [device.device_id for device in devices] == [LEFT, "press"]
    assert serial_device.find(devices, "press") == devices[1]


def test_the_one_that_is_left_is_not_taken_for_the_other(host: Host) -> None:
    plug_both(host)
    devices = SerialDevices(host.roots)
    assert len(devices.scan()) == 2
    host.unplug("ttyUSB0")
    (host.roots.dev / "serial/by-id" / NAME).symlink_to("../../ttyUSB1")
    left = devices.scan()
    assert [device.device_id for device in left] == [RIGHT]
    assert serial_device.find(left, NAME) is None


def test_an_adapter_in_place_of_an_equal_one_has_its_name(host: Host) -> None:
    devices = SerialDevices(host.roots)
    for number, at in enumerate(("1-1", "1-2")):
        host.plug(f"ttyUSB{number}", os.makedev(188, number), by_id=NAME, at=at, **CH340)
        assert [device.device_id for device in devices.scan()] == [NAME]
        host.unplug(f"ttyUSB{number}")


def test_adapters_with_serial_numbers_of_their_own_are_no_twins(host: Host) -> None:
    for number, at in enumerate(("1-1", "1-2")):
        host.plug(f"ttyUSB{number}", os.makedev(188, number), at=at, serial=f"A{number}", **CH340)
    devices = SerialDevices(host.roots).scan()
    assert [device.device_id for device in devices] == [f"usb-1a86_USB_Serial_A{number}-if00" for number in (0, 1)]
