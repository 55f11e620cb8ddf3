"""Asks the LAN once who has an address, for diagnosis."""

from __future__ import annotations

import select
import time
from ipaddress import IPv4Address

from controller.network.arp.sockets import ArpSocket

_ATTEMPTS, _SECONDS = 3, 0.4


def who_has(link: str, address: IPv4Address) -> str:
    """Return the MAC address that answers on a link of this thread's network namespace, "" without an answer.

    Blocks for at most 1.2 s. Raises OSError when the link is missing or down.
    """
    arp = ArpSocket(link)
    try:
        arp.listen([address])
        for _ in range(_ATTEMPTS):
            arp.probe(address)
            if answer := _answer(arp):
                return answer
        return ""
    finally:
        arp.close()


def _answer(arp: ArpSocket) -> str:
    until = time.monotonic() + _SECONDS
    while (left := until - time.monotonic()) > 0:
        select.select([arp], [], [], left)
        if heard := arp.receive():
            return heard[0].mac.hex(":")
    return ""
