"""Serial devices and their names."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from controller.devices import serial_device
from controller.devices.serial import Roots, SerialDevices
from tests.support.edge_host import eventually
from tests.support.serial_port import Host

FTDI = "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
FACTS = {
    "idVendor": "0403",
    "idProduct": "6001",
    "serial": "A50285BI",
    "manufacturer": "FTDI",
    "product": "FT232R UART",
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host without devices."""
    return Host(tmp_path)


def test_a_device_has_the_name_that_udev_gives_it(host: Host) -> None:
    host.plug("ttyUSB0", os.makedev(188, 0), by_id=FTDI, **FACTS)
    (found,) = SerialDevices(host.roots).scan()
    assert (found.device_id, found.path, found.number) == (FTDI, "/dev/ttyUSB0", os.makedev(188, 0))
    assert (found.vendor_id, found.product_id, found.serial) == ("0403", "6001", "A50285BI")
    assert (found.manufacturer, found.product, found.mode) == ("FTDI", "FT232R UART", 0o660)


def test_without_udev_the_name_is_built_from_usb_attributes(host: Host) -> None:
    host.plug("ttyACM3", os.makedev(166, 3), **FACTS)
    (found,) = SerialDevices(host.roots).scan()
    assert found.device_id == "usb-FTDI_FT232R_UART_A50285BI-if00"


def test_onboard_ports_with_hardware_are_listed(host: Host) -> None:
    host.board_port("ttyS0", "4")
    host.board_port("ttyS1", "0")
    assert [device.device_id for device in SerialDevices(host.roots).scan()] == ["ttyS0"]


def test_files_that_are_no_devices_are_not_listed(host: Host) -> None:
    (host.roots.dev / "ttyUSB0").write_text("a file")
    (host.roots.dev / "ttyUSB1").symlink_to("/dev/null")
    (host.roots.dev / "null").touch()
    assert SerialDevices(host.roots).scan() == ()


@pytest.mark.parametrize(("node", "number"), [("ttyCH343USB0", (170, 0)), ("ttyMXUSB0", (243, 1)), ("ttyr00", (30, 0))])
@pytest.mark.parametrize("link", ["by-id/usb-vendor", "by-path/pci-0000:00:14.0-usb-0:1:1.0"])
def test_a_vendors_node_is_found_by_its_link(host: Host, node: str, number: tuple[int, int], link: str) -> None:
    host.plug(node, os.makedev(*number))
    assert SerialDevices(host.roots).scan() == ()
    (host.roots.dev / "serial" / link).symlink_to(f"../../{node}")
    (found,) = SerialDevices(host.roots).scan()
    assert (found.path, found.number) == (f"/dev/{node}", os.makedev(*number))
    assert (
        serial_device.find([found], link.partition("/")[2])
        == serial_device.find([found], f"/dev/serial/{link}")
        == found
    )


def test_a_link_to_no_device_in_dev_adds_none(host: Host) -> None:
    (host.roots.dev / "file").touch()
    os.mknod(host.roots.dev / "node", 0o20600, os.makedev(170, 0))
    for number, target in enumerate(("../../file", "../../absent", "../../../dev/node", "../../folder/node", "node")):
        (host.roots.dev / f"serial/by-id/usb-{number}").symlink_to(target)
    assert SerialDevices(host.roots).scan() == ()


def test_a_linked_port_on_the_board_needs_hardware(host: Host) -> None:
    host.board_port("ttyS1", "0")
    (host.roots.dev / "serial/by-path/pci-0000:00:16.3").symlink_to("../../ttyS1")
    assert SerialDevices(host.roots).scan() == ()


def test_a_host_without_these_folders_has_no_devices(tmp_path: Path) -> None:
    assert SerialDevices(Roots(tmp_path / "dev", tmp_path / "sys")).scan() == ()


@pytest.mark.parametrize("name", [
    FTDI, f"/dev/serial/by-id/{FTDI}", "/dev/ttyUSB0", "platform-usb-0:1:1.0-ttyUSB0",
    "/dev/serial/by-path/platform-usb-0:1:1.0-ttyUSB0",
])  # fmt: skip
def test_a_device_is_found_by_each_of_its_names(host: Host, name: str) -> None:
    host.plug("ttyUSB0", os.makedev(188, 0), by_id=FTDI)
    devices = SerialDevices(host.roots).scan()
    assert serial_device.find(devices, name) == devices[0]
    assert serial_device.find(devices, "another") is None


async def test_plugging_and_unplugging_is_reported(host: Host) -> None:
    devices = SerialDevices(host.roots)
    assert not await devices.refresh()
    host.plug("ttyUSB0", os.makedev(188, 0), by_id=FTDI)
    assert await devices.refresh()
    assert [device.path for device in devices.current] == ["/dev/ttyUSB0"]
    assert not await devices.refresh()
    host.unplug("ttyUSB0")
    assert await devices.refresh()
    assert devices.current == ()


async def test_a_change_is_awaited_in_one_thread_which_then_ends(host: Host) -> None:
    devices = SerialDevices(host.roots, every=0.01)
    changed = asyncio.create_task(devices.changed())
    host.plug("ttyUSB0", os.makedev(188, 0), by_id=FTDI)

    await asyncio.wait_for(changed, 10)

    assert [device.path for device in devices.current] == ["/dev/ttyUSB0"]
    await eventually(_watched_by_nobody, "the thread ends")


async def test_nobody_watches_the_devices_after_a_cancellation(host: Host) -> None:
    changed = asyncio.create_task(SerialDevices(host.roots, every=300).changed())
    await eventually(_watched, "the thread runs")

    changed.cancel()

    with pytest.raises(asyncio.CancelledError):
        await changed
    await eventually(_watched_by_nobody, "the thread ends")


async def _watched() -> bool:
    return any(thread.name.startswith("serial-devices") for thread in threading.enumerate())


async def _watched_by_nobody() -> bool:
    return not await _watched()


async def test_another_mode_or_name_of_a_device_is_reported(host: Host) -> None:
    host.plug("ttyUSB0", os.makedev(188, 0))
    devices = SerialDevices(host.roots)
    assert [await devices.refresh() for _ in range(3)] == [True, False, False]
    (host.roots.dev / "ttyUSB0").chmod(0o600)
    assert await devices.refresh()
    (host.roots.dev / "serial/by-id" / FTDI).symlink_to("../../ttyUSB0")
    assert await devices.refresh()
    assert [(device.mode, device.device_id) for device in devices.current] == [(0o600, FTDI)]


async def test_what_changes_no_folder_is_found_after_some_refreshes(host: Host) -> None:
    host.board_port("ttyS0", "0")
    devices = SerialDevices(host.roots, rescan=3)
    assert [await devices.refresh() for _ in range(2)] == [False, False]
    (host.roots.sys / "class/tty/ttyS0/type").write_text("4")
    assert [await devices.refresh() for _ in range(3)] == [False, False, True]


def test_without_udev_the_ports_of_one_adapter_have_different_names(host: Host) -> None:
    for number in (0, 1):
        host.plug(f"ttyUSB{number}", os.makedev(188, number), **(FACTS if number == 0 else {}))
        port = host.roots.sys / f"devices/usb1/1-1/1-1:1.0/ttyUSB{number}/port_number"
        port.write_text(f"{number}\n")
    devices = SerialDevices(host.roots).scan()
    name = "usb-FTDI_FT232R_UART_A50285BI-if00"
    assert [device.device_id for device in devices] == [f"{name}-port0", f"{name}-port1"]
    assert serial_device.find(devices, name) == devices[0]


def test_a_link_that_vanishes_during_the_scan_hides_no_other(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.plug("ttyUSB0", os.makedev(188, 0), by_id="usb-gone")
    host.plug("ttyUSB1", os.makedev(188, 1), by_id="usb-plc")
    readlink = Path.readlink

    def racing(path: Path) -> Path:
        if path.name == "usb-gone":
            raise FileNotFoundError(path)
        return readlink(path)

    monkeypatch.setattr(Path, "readlink", racing)
    assert [device.device_id for device in SerialDevices(host.roots).scan()] == ["ttyUSB0", "usb-plc"]
