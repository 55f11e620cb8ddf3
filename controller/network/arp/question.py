"""One question on the LAN, asked once: who has this address? For a person who looks for a fault."""

from __future__ import annotations

import select
import time
from ipaddress import IPv4Address

from controller.network.arp.sockets import ArpSocket

_ATTEMPTS, _SECONDS = 3, 0.4


def who_has(link: str, address: IPv4Address) -> str:
    """The MAC address that answers on a link of this thread's network namespace, "" when nobody does.

    Blocks for 1.2 s at most; raises OSError when there is no such link, or it is down.
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
        if heard := arp.heard():
            return heard[0].mac.hex(":")
    return ""
