"""Equal adapters without serial numbers of their own, which the name in /dev/serial/by-id cannot tell apart.

udev gives their common name to one of them, after a reboot perhaps to another. So it is nobody's name here: each of
them is identified by its physical port. No I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from controller.devices.serial_device import SerialDevice

_LIMIT = 256


class Twins:
    """Remembers names that several devices had at once: when only one is left, nobody knows that it was meant."""

    def __init__(self) -> None:
        self._shared: dict[str, None] = {}

    def tell_apart(self, devices: Sequence[SerialDevice]) -> list[SerialDevice]:
        """Return the devices, equal ones with a name of their own and ``is_twin``."""
        counts = Counter(name for device in devices for name in {device.usb_id, device.device_id} if device.usb_id)
        self._shared |= dict.fromkeys(name for name, count in counts.items() if count > 1)
        while len(self._shared) > _LIMIT:
            del self._shared[next(iter(self._shared))]
        return [self._identified(device) for device in devices]

    def _identified(self, device: SerialDevice) -> SerialDevice:
        if not self._shared.keys() & {device.usb_id, device.device_id}:
            return device
        twin = replace(device, is_twin=True)
        own = next(iter(twin.own_links), "") or device.by_path
        return replace(twin, device_id=own or device.path.removeprefix("/dev/"))
