"""Decodes Socket.IO packets without ever raising; every event becomes an ``Incoming``.

python-socketio accepts a Packet class as its ``serializer``. The default one drops events that it cannot decode and
hides from handlers whether an acknowledgement was requested; this one keeps both. It knows no topic.
(Protocol: https://socket.io/docs/v4/socket-io-protocol/, revision 5.)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from socketio import packet
from typing_extensions import override

INCOMING = "incoming"  # one handler for all events, so an event named "disconnect" is not taken for a disconnection
CLOSED = "closed"  # the server left the namespace

MAX_CHARACTERS = 9 * 1024 * 1024  # of one event; longer ones are refused unparsed, as parsing blocks the event loop
MAX_NAME = 200
UNNAMED = "error"  # answers an event whose own name is unusable
_RESERVED = frozenset({"connect", "connect_error", "disconnect"})
_KNOWN = frozenset({packet.CONNECT, packet.DISCONNECT, packet.EVENT, packet.ACK, packet.CONNECT_ERROR})
_BINARY = {packet.BINARY_EVENT: packet.EVENT, packet.BINARY_ACK: packet.ACK}


@dataclass(frozen=True)
class Incoming:
    """One event from the server; ``fault`` says why it cannot be dispatched, or is ""."""

    name: str
    arguments: list[Any]
    wants_acknowledgement: bool
    fault: str = ""


class Packet(packet.Packet):  # type: ignore[misc] # socketio has no types
    """A packet whose decoding never fails."""

    packet_type: int
    id: int | None
    data: Any

    uses_binary_events = False  # answers are JSON; searching a deep one for bytes could exhaust the stack

    def __init__(self, *arguments: Any, encoded_packet: str | bytes | None = None, **named: Any) -> None:
        empty = encoded_packet in ("", b"")  # the base class would not decode these
        super().__init__(*arguments, encoded_packet=" " if empty else encoded_packet, **named)

    @override
    def decode(self, encoded_packet: str) -> int:
        """Decode one text frame. Returns the number of binary frames that follow it."""
        attachments, fault = 0, ""
        try:
            attachments = self._decode(encoded_packet)
        except RecursionError:
            fault = "the message cannot be read: it is nested too deeply"
        except ValueError as error:
            fault = f"the message cannot be read: {error}"
        if fault:
            # The answer to a message that cannot be read needs its name, too.
            self.data = _name_in(encoded_packet)
        elif attachments:
            fault = "binary attachments are not accepted: send base64 text"
        self._normalise(attachments, fault)
        return attachments

    @override
    def add_attachment(self, attachment: bytes | str) -> bool:
        """Count an attachment without keeping it. Returns whether the packet is complete; a text frame ends it."""
        self.attachment_count -= 1
        return self.attachment_count <= 0 or isinstance(attachment, str)

    def _decode(self, encoded: str) -> int:
        if not isinstance(encoded, str):
            raise ValueError("a binary frame without the packet that announces it")
        if len(encoded) > MAX_CHARACTERS:
            super().decode(encoded[:MAX_NAME].partition("[")[0])  # type and id, needed for the answer
            raise ValueError(f"it has more than {MAX_CHARACTERS >> 20} MiB")
        return int(super().decode(encoded) or 0)

    def _normalise(self, attachments: int, fault: str) -> None:
        """Bring the packet into the form that the client expects."""
        # The client would wait for attachments of a binary packet even if it announces none, and receive nothing more.
        if not attachments:
            self.packet_type = _BINARY.get(self.packet_type, self.packet_type)
        # The client ignores a disconnection that arrives before its connect() has returned, but not an event.
        if self.packet_type == packet.DISCONNECT:
            self.packet_type, self.id, self.data = packet.EVENT, None, [CLOSED]
        # The client calls the callback with *data, which fails for anything but a list.
        elif self.packet_type in (packet.ACK, packet.BINARY_ACK):
            self.data = self.data if isinstance(self.data, list) else []
        elif self.packet_type in (packet.EVENT, packet.BINARY_EVENT):
            self.data = [INCOMING, self._incoming(fault)]
        elif fault or self.packet_type not in _KNOWN:
            self.packet_type, self.id = packet.EVENT, None
            self.data = [INCOMING, Incoming(UNNAMED, [], False, fault or "the message has an unknown type")]

    def _incoming(self, fault: str) -> Incoming:
        name, *arguments = self.data if isinstance(self.data, list) and self.data else [None]
        if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable() or name in _RESERVED:
            name, fault = UNNAMED, fault or f"the event needs a name of at most {MAX_NAME} letters that is not reserved"
        return Incoming(name, arguments, self.id is not None, fault)


def _name_in(encoded: str | bytes) -> list[str] | None:
    """The name of an event whose arguments cannot be decoded, in a list as ``data`` holds it."""
    if not isinstance(encoded, str):
        return None
    try:
        # raw_decode stops after the name, so the arguments that cannot be decoded do not matter.
        name, _ = json.JSONDecoder().raw_decode(encoded, encoded.index("[") + 1)
    except (ValueError, RecursionError):
        return None
    return [name]
