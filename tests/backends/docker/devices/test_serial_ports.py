"""Serial devices in real containers: read and written from inside, unplugged and plugged in again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Target
from controller.backends.docker.backend import DEFAULT_PIDS_LIMIT
from controller.backends.docker.containers import rights
from controller.backends.observation import Observed, ObservedDevice
from controller.container_root import Process
from controller.devices import nodes
from controller.devices.serial import SerialDevices
from controller.devices.serial_device import SerialDevice
from tests.backends.conftest import BackendHarness, NewBackend
from tests.support.serial_port import Far, Host

pytestmark = pytest.mark.docker

PORT = {"name": "line", "deviceId": "usb-plc", "containerPath": "/dev/line0"}
WRITE = "import os; f = os.open('/dev/line0', os.O_RDWR | os.O_NOCTTY); os.write(f, b'{}')"
READ = "import os; f = os.open('/dev/line0', os.O_RDWR | os.O_NOCTTY); print(os.read(f, 80).decode())"


@pytest.fixture
def plant(tmp_path: Path) -> Host:
    """The host's /dev and /sys."""
    return Host(tmp_path)


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    """The far end of the first port."""
    with Far(tmp_path, 61) as end:
        yield end


@pytest.fixture
def other_far(tmp_path: Path) -> Iterator[Far]:
    """The far end of the second port."""
    with Far(tmp_path, 62) as end:
        yield end


def inside(api: Any, target: Target, program: str) -> str:
    """The output and errors of a Python program in the container."""
    job = api.exec_create(target.identity.device_id, ["/usr/bin/python3", "-I", "-S", "-c", program])
    return str(api.exec_start(job["Id"]).decode()).strip()


async def seen(harness: BackendHarness, target: Target) -> ObservedDevice:
    """The observed state of its only port."""
    observed: Observed = await harness.backend.observe(target)
    (found,) = observed.devices
    return found


async def test_a_runtime_reads_and_writes_its_device(
    harness: BackendHarness, api: Any, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    target = await harness.up(harness.target(serialPorts=[PORT]))
    assert (await seen(harness, target)).detail == "/dev/line0 is missing"

    await harness.run(target, base.Step.ATTACH_DEVICES)

    assert await seen(harness, target) == ObservedDevice("line", "/dev/ttyUSB0")
    assert inside(api, target, WRITE.format("to the plant")) == ""
    assert far.received() == "to the plant"
    far.type("from the plant")
    assert inside(api, target, READ) == "from the plant"


async def test_a_device_works_again_after_it_was_plugged_in_elsewhere(
    harness: BackendHarness, api: Any, plant: Host, far: Far, other_far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    target = await harness.run(await harness.up(harness.target(serialPorts=[PORT])), base.Step.ATTACH_DEVICES)
    started = (await harness.backend.observe(target)).started_at

    plant.unplug("ttyUSB0")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    assert (await seen(harness, target)).awaits == ""  # a dead node remains
    await harness.run(target, base.Step.ATTACH_DEVICES)
    assert (await seen(harness, target)).awaits == reasons.DEVICE_MISSING
    assert "No such file" in inside(api, target, WRITE.format("nobody"))

    plant.plug("ttyUSB7", other_far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    await harness.run(target, base.Step.ATTACH_DEVICES)

    assert inside(api, target, WRITE.format("again")) == ""
    assert (far.received(), other_far.received()) == ("", "again")
    assert (await harness.backend.observe(target)).started_at == started


async def test_the_node_is_placed_again_after_a_restart_by_the_engine(
    harness: BackendHarness, api: Any, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    target = await harness.run(await harness.up(harness.target(serialPorts=[PORT])), base.Step.ATTACH_DEVICES)

    api.restart(target.identity.device_id, timeout=0)

    assert not (await seen(harness, target)).in_order
    await harness.run(target, base.Step.ATTACH_DEVICES)
    assert inside(api, target, WRITE.format("after")) == ""


async def test_a_device_of_another_runtime_is_refused(
    harness: BackendHarness, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    first = await harness.run(await harness.up(harness.target("plc1", serialPorts=[PORT])), base.Step.ATTACH_DEVICES)
    assert (await seen(harness, first)).in_order
    second = await harness.run(await harness.up(harness.target("plc2", serialPorts=[PORT])), base.Step.ATTACH_DEVICES)

    found = await seen(harness, second)

    assert (found.in_order, found.awaits) == (False, reasons.DEVICE_IN_USE)
    assert first.identity.device_id in found.detail
    await harness.down(first)
    await harness.run(second, base.Step.ATTACH_DEVICES)
    assert (await seen(harness, second)).in_order


async def test_of_two_runtimes_that_get_a_device_at_the_same_moment_one_has_it(
    harness: BackendHarness, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    targets = [await harness.up(harness.target(name, serialPorts=[PORT])) for name in ("plc1", "plc2")]

    await asyncio.gather(*(harness.run(target, base.Step.ATTACH_DEVICES) for target in targets))

    found = [await seen(harness, target) for target in targets]
    assert sorted(one.awaits for one in found) == ["", reasons.DEVICE_IN_USE]
    assert sorted(one.in_order for one in found) == [False, True]


TWIN = {"idVendor": "1a86", "product": "USB Serial"}
TWINS = {**PORT, "deviceId": "usb-1a86_USB_Serial-if00"}
LEFT, RIGHT = (f"platform-devices-usb-0:{port}:1.0" for port in ("1", "2"))


async def scan(scanner: SerialDevices, devices: list[SerialDevice]) -> None:
    """Let the backend see the present devices."""
    devices[:] = await asyncio.to_thread(scanner.scan)


async def test_equal_adapters_are_requested_by_their_ports(
    harness: BackendHarness, api: Any, plant: Host, far: Far, other_far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, at="1-1", **TWIN)
    plant.plug("ttyUSB1", other_far.number, at="1-2", **TWIN)
    await scan(SerialDevices(plant.roots), devices)
    target = await harness.run(await harness.up(harness.target(serialPorts=[TWINS])), base.Step.ATTACH_DEVICES)

    found = await seen(harness, target)

    assert (found.in_order, found.path, found.awaits) == (False, "", reasons.DEVICE_AMBIGUOUS)
    assert f"request {LEFT} or {RIGHT}" in found.detail
    assert "No such file" in inside(api, target, WRITE.format("nobody"))
    target = harness.target(serialPorts=[{**PORT, "deviceId": RIGHT}])
    await harness.run(target, base.Step.ATTACH_DEVICES)
    assert inside(api, target, WRITE.format("right")) == ""
    assert (far.received(), other_far.received()) == ("", "right")


async def test_a_runtime_keeps_its_adapter_when_an_equal_one_is_plugged_in_and_never_gets_that_one(
    harness: BackendHarness,
    new_backend: NewBackend,
    plant: Host,
    far: Far,
    other_far: Far,
    devices: list[SerialDevice],
) -> None:
    plant.plug("ttyUSB0", far.number, at="1-1", **TWIN)
    scanner = SerialDevices(plant.roots)
    await scan(scanner, devices)
    target = await harness.run(await harness.up(harness.target(serialPorts=[TWINS])), base.Step.ATTACH_DEVICES)

    plant.plug("ttyUSB1", other_far.number, at="1-2", **TWIN)
    await scan(scanner, devices)
    found = await seen(harness, target)
    assert (found.in_order, found.path) == (True, "/dev/ttyUSB0")
    assert f"request {LEFT} or {RIGHT}" in found.detail
    restarted = replace(harness, backend=new_backend(harness.install_id))
    assert (await seen(restarted, target)) == found
    second = await harness.up(harness.target("plc2", serialPorts=[{**PORT, "deviceId": LEFT}]))
    assert (await seen(harness, second)).awaits == reasons.DEVICE_IN_USE

    plant.unplug("ttyUSB0")
    await scan(scanner, devices)
    for each in (harness, restarted):
        found = await seen(each, target)
        assert (found.in_order, found.path, found.awaits) == (False, "", "")
    await harness.run(target, base.Step.ATTACH_DEVICES)
    assert (await seen(harness, target)).awaits == reasons.DEVICE_AMBIGUOUS

    plant.plug("ttyUSB2", far.number, at="1-1", **TWIN)
    await scan(scanner, devices)
    await harness.run(target, base.Step.ATTACH_DEVICES)
    found = await seen(harness, target)
    assert (found.in_order, found.path) == (True, "/dev/ttyUSB2")


# A console, an on-board port, a USB adapter, and a device that is not serial.
NODES = [(4, 1), (4, 64), (188, 0), (10, 1)]
TRY = "import os; f = os.open('/dev/x{0}', os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK); print('open')"


def opened(api: Any, target: Target) -> list[tuple[int, int]]:
    """The devices that a program may open when given their nodes from outside; they need no driver."""
    document = api.inspect_container(target.identity.device_id)
    for number in NODES:
        device = SerialDevice("x", "/dev/x", os.makedev(*number), 0o600, 0, 0)
        nodes.place(Process(document["State"]["Pid"], document["Id"]), f"/dev/x{number}", device)
    return [number for number in NODES if "not permitted" not in inside(api, target, TRY.format(number))]


@pytest.mark.parametrize(("ports", "expected"), [([], []), ([PORT], [(188, 0)])], ids=["without ports", "with one"])
async def test_a_container_may_open_only_devices_of_its_spec_and_create_none(
    harness: BackendHarness, api: Any, ports: list[Any], expected: list[tuple[int, int]]
) -> None:
    target = await harness.up(harness.target(serialPorts=ports, realtime={"enabled": True}))
    program = "import os; os.mknod('/dev/y', 0o20600, os.makedev({}, {}))"
    assert all("not permitted" in inside(api, target, program.format(*number)) for number in NODES)
    assert await asyncio.to_thread(opened, api, target) == expected
    host_config = api.inspect_container(target.identity.device_id)["HostConfig"]
    assert (host_config["Privileged"], host_config["PidsLimit"]) == (False, DEFAULT_PIDS_LIMIT)
    assert inside(api, target, "print(open('/proc/1/oom_score_adj').read())") == str(rights.OOM_SCORE)


async def test_a_first_port_needs_a_new_container(
    harness: BackendHarness, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    await harness.up(harness.target())
    target = harness.target(serialPorts=[PORT])
    found = await seen(harness, target)
    assert (found.awaits, found.needs_new_container) == (reasons.DEVICES_UNSUPPORTED, True)
    assert "usb-plc: request a restart" in found.detail

    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    assert (await seen(harness, target)).awaits == reasons.DEVICES_UNSUPPORTED
    target = await harness.run(target, base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER, base.Step.ATTACH_DEVICES)
    assert await seen(harness, target) == ObservedDevice("line", "/dev/ttyUSB0")


async def test_the_node_of_a_removed_port_is_deleted(
    harness: BackendHarness, api: Any, plant: Host, far: Far, devices: list[SerialDevice]
) -> None:
    plant.plug("ttyUSB0", far.number, by_id="usb-plc")
    devices[:] = await asyncio.to_thread(SerialDevices(plant.roots).scan)
    await harness.run(await harness.up(harness.target(serialPorts=[PORT])), base.Step.ATTACH_DEVICES)

    target = harness.target()
    assert (await seen(harness, target)).detail == "it is no longer in the spec"
    await harness.run(target, base.Step.ATTACH_DEVICES)

    observed = await harness.backend.observe(target)
    assert observed.devices == ()
    assert "No such file" in inside(api, target, WRITE.format("nobody"))
    # Engines cannot revoke access to what the runtime kept open or linked under another name.
    assert [reason for reason, _ in observed.warnings] == [reasons.EXCESS_RIGHTS]
    await harness.run(target, base.Step.REPLACE_CONTAINER)
    assert (await harness.backend.observe(target)).warnings == ()


SWAP = """
import os
os.chdir('/dev')
open('/dev/trying', 'w')
while True:
    for name in os.listdir():
        if name.startswith('.line0.'):
            try:
                os.symlink('{}', 'trap')
                os.rename('trap', name)
            except OSError:
                pass
"""


async def test_a_runtime_that_replaces_new_nodes_by_symlinks_reaches_no_host_file(
    harness: BackendHarness, api: Any, tmp_path: Path
) -> None:
    target = await harness.up(harness.target(serialPorts=[PORT]))
    precious = tmp_path / "shadow"
    precious.touch(0o600)
    document = api.inspect_container(target.identity.device_id)
    process = Process(document["State"]["Pid"], document["Id"])
    job = api.exec_create(document["Id"], ["/usr/bin/python3", "-I", "-S", "-c", SWAP.format(precious)])
    api.exec_start(job["Id"], detach=True)
    device = SerialDevice("x", "/dev/ttyUSB0", os.makedev(188, 0), 0o666, 1, 1)

    def race() -> int:
        """How often the runtime won the race."""
        lost, deadline = 0, time.monotonic() + 20
        while lost < 20 and time.monotonic() < deadline:
            try:
                nodes.place(process, "/dev/line0", device)
            except errors.Retry:
                lost += 1
                with contextlib.suppress(FileNotFoundError):
                    Path(f"/proc/{process.pid}/root/dev/line0").unlink()
        return lost

    assert await asyncio.to_thread(race)
    status = precious.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o600, 0, 0)


async def test_a_container_with_excess_rights_keeps_running_with_a_warning_until_replaced(
    harness: BackendHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = {"DeviceCgroupRules": [f"c {major}:* rw" for major in (188, 166, 204, 4)]}
    with monkeypatch.context() as earlier:
        earlier.setattr(rights, "at_creation", lambda *_: wide)
        target = await harness.up(harness.target())
    before = await harness.backend.observe(target)
    assert [reason for reason, _ in before.warnings] == [reasons.EXCESS_RIGHTS]
    assert f"docker rm -f {target.identity.device_id}" in before.warnings[0][1]
    assert (await harness.backend.survey()).unconfined == (target.identity.device_id,)

    await harness.run(target, base.Step.RESTART_CONTAINER)
    after = await harness.backend.observe(target)
    assert (after.container_id, after.running) == (before.container_id, True)
    await harness.run(target, base.Step.REPLACE_CONTAINER)
    assert (await harness.backend.observe(target)).warnings == ()
    assert (await harness.backend.survey()).unconfined == ()


async def test_a_kind_of_device_that_the_container_may_not_open_is_reported(
    harness: BackendHarness, devices: list[SerialDevice]
) -> None:
    target = await harness.up(harness.target(serialPorts=[PORT]))
    devices.append(SerialDevice("usb-plc", "/dev/ttyXRUSB0", 266 << 8, 0o600, 0, 0))
    assert (await seen(harness, target)).awaits == reasons.DEVICES_UNSUPPORTED
    again = await harness.up(harness.target("plc2", serialPorts=[PORT]))
    assert (await seen(harness, again)).awaits == ""
