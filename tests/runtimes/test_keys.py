"""The index knows the Runtimes of this node by identity, and what each one needs of the host."""

from __future__ import annotations

from controller.backends.base import Identity
from controller.runtimes.facets.devices import SERIAL_DEVICE
from controller.runtimes.facets.table import FACETS
from controller.runtimes.keys import INTERFACE, Key, KeyIndex, Need
from tests.runtimes.facets.test_devices import LINE
from tests.runtimes.plan_table import spec

ONE, TWO = Key("edge", "plc-1"), Key("edge", "plc-2")
IDENTITY = Identity("install", "edge", "plc-1")


def test_needs_are_found_by_kind() -> None:
    index = KeyIndex()
    index.remember(IDENTITY, ONE, [Need(INTERFACE, "eth0"), Need(INTERFACE, "eth1"), Need(SERIAL_DEVICE, "usb-plc")])
    index.remember(IDENTITY._replace(device_id="plc-2"), TWO, [Need(INTERFACE, "eth0")])
    assert index.needing(INTERFACE) == {ONE: {"eth0", "eth1"}, TWO: {"eth0"}}
    assert index.needing(SERIAL_DEVICE) == {ONE: {"usb-plc"}}


def test_a_later_pass_replaces_the_needs() -> None:
    index = KeyIndex()
    index.remember(IDENTITY, ONE, [Need(SERIAL_DEVICE, "usb-plc")])
    index.remember(IDENTITY, ONE)
    assert index.needing(SERIAL_DEVICE) == {}
    assert index.key_of(IDENTITY) == ONE


def test_a_forgotten_runtime_needs_nothing() -> None:
    index = KeyIndex()
    index.remember(IDENTITY, ONE, [Need(INTERFACE, "eth0")])
    index.forget(ONE)
    assert (index.needing(INTERFACE), index.key_of(IDENTITY), index.all()) == ({}, None, [])


def test_facets_name_what_a_spec_needs() -> None:
    needed = spec(serial_ports=(LINE,), dedicated_interface="eth1")
    assert {need for facet in FACETS for need in facet.needs(needed)} == {
        Need(INTERFACE, "eth0"),
        Need(INTERFACE, "eth1"),
        Need(SERIAL_DEVICE, "usb-plc"),
    }
