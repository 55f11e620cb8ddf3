"""Decoding never fails and always yields packets in the form that the client expects."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from socketio import packet

from controller.cloud.packets import CLOSED, INCOMING, Incoming, Packet

frames = st.one_of(
    st.text(),
    st.binary(),
    st.from_regex(r"[0-9]{1,3}(-)?(/[a-z]*,)?[0-9]{0,3}[\\[{].*", fullmatch=True),
    st.builds(lambda name, data: f"42{json.dumps([name, data])}", st.text(), st.recursive(st.none(), st.lists)),
)


@given(frames)
@example("")
@example("2" + "[" * 100_000)
@example("5" + "9" * 30 + "-")
def test_every_frame_becomes_a_packet_that_the_client_can_handle(frame: str | bytes) -> None:
    decoded = Packet(encoded_packet=frame)
    if decoded.packet_type in (packet.EVENT, packet.BINARY_EVENT):
        assert decoded.data == [CLOSED] or (
            decoded.data[0] == INCOMING and len(decoded.data) == 2 and isinstance(decoded.data[1], Incoming)
        )
    elif decoded.packet_type in (packet.ACK, packet.BINARY_ACK):
        assert isinstance(decoded.data, list)
    else:
        assert decoded.packet_type in (packet.CONNECT, packet.CONNECT_ERROR)


@pytest.mark.parametrize("attachments", [1, 3])
def test_attachments_are_counted_but_not_kept(attachments: int) -> None:
    decoded = Packet(encoded_packet=f'45{attachments}-1["t",{{"_placeholder":true,"num":0}}]'[1:])
    completed = [decoded.add_attachment(b"x" * 100) for _ in range(attachments)]
    assert completed == [False] * (attachments - 1) + [True]
    assert decoded.attachments == []


def test_a_text_frame_ends_the_wait_for_attachments() -> None:
    decoded = Packet(encoded_packet='53-["t"]')
    assert decoded.add_attachment('2["next"]')
