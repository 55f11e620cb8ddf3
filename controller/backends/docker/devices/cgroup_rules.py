"""Builds the cgroup rules that allow a container to open the serial ports of its spec, and nothing else. Pure.

An engine accepts rules at creation only (API reference: DeviceCgroupRules), and a rule covers one minor number or all.
A replugged device gets another minor, so its rule covers the whole major. An on-board port keeps its minor and gets a
rule for that one, because the rest of major 4 are the host's consoles (kernel: devices.txt).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from controller.api.runtimes import SerialPort
from controller.devices import serial_device
from controller.devices.serial_device import SerialDevice

_PLUGGED_IN_LATER = (188, 166)  # ttyUSB, ttyACM: an absent device may turn out to be either
_ON_BOARD = {"ttyS": (4, 64, 192), "ttyAMA": (204, 64, 16)}  # major, first minor, how many
_ON_BOARD_NAME = re.compile(r"(ttyS|ttyAMA)([0-9]{1,3})")


def of(ports: Iterable[SerialPort], devices: Sequence[SerialDevice]) -> list[str]:
    """The rules of a container for these ports, given the host's current devices."""
    return list(dict.fromkeys(rule for port in ports for rule in _rules(port, devices)))


def allow(rules: Sequence[str], device: SerialDevice | None) -> bool:
    """Whether a container with these rules may open the device.

    None is an absent device: a container with any rule may have been created for it.
    """
    return any(_covers(rule, _rule_of(device)) for rule in rules) if device else bool(rules)


def _rules(port: SerialPort, devices: Sequence[SerialDevice]) -> Iterator[str]:
    device = serial_device.find(devices, port.device_id)
    # Of equal devices nobody knows yet which one it will be.
    if found := [device] if device else serial_device.find_sharing(devices, port.device_id):
        yield from map(_rule_of, found)
    elif number := _on_board(port.device_id.removeprefix("/dev/")):
        yield _rule(*number)
    else:
        yield from (_rule(major) for major in _PLUGGED_IN_LATER)


def _rule_of(device: SerialDevice) -> str:
    return _rule(os.major(device.number), None if device.is_hot_pluggable else os.minor(device.number))


def _on_board(name: str) -> tuple[int, int] | None:
    """Major and minor of an on-board port, from its kernel name."""
    found = _ON_BOARD_NAME.fullmatch(name)
    major, first, count = _ON_BOARD[found[1]] if found else (0, 0, 0)
    return (major, first + int(found[2])) if found and int(found[2]) < count else None


def _rule(major: int, minor: int | None = None) -> str:
    return f"c {major}:{'*' if minor is None else minor} rw"


def _covers(rule: str, wanted: str) -> bool:
    """Whether a rule, perhaps from an earlier version, covers all of the wanted one (cgroup-v1/devices)."""
    kind, _, rest = rule.partition(" ")
    major, _, minor = rest.partition(" ")[0].partition(":")
    wanted_major, _, wanted_minor = wanted.split()[1].partition(":")
    # The access is not compared: every version has granted rw.
    return kind == "a" or (kind == "c" and major in ("*", wanted_major) and minor in ("*", wanted_minor))
