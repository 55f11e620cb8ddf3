"""How many heartbeats of an agent are kept."""

from __future__ import annotations

from controller.localcloud.agents import KEPT_BYTES, KEPT_HEARTBEATS, Heartbeat, Heartbeats


def kept(*payloads: object) -> list[object]:
    """The payloads that are kept of these, in the order of their arrival."""
    heartbeats = Heartbeats()
    for payload in payloads:
        heartbeats.append(Heartbeat(0.0, payload))
    return [beat.payload for beat in heartbeats.all()]


def test_the_last_heartbeats_are_kept() -> None:
    assert kept(*range(KEPT_HEARTBEATS + 10)) == list(range(10, KEPT_HEARTBEATS + 10))


def test_large_heartbeats_displace_older_ones_also_those_with_bytes() -> None:
    half = "x" * (KEPT_BYTES // 2 - 10)
    assert kept({"n": 1}, half, half.encode(), {"n": 2}) == [half, half.encode(), {"n": 2}]
    assert kept({"n": 1}, "x" * KEPT_BYTES) == ["x" * KEPT_BYTES]
