"""The exit of a run is known after the engine has forgotten it, and never confused with another one."""

from __future__ import annotations

from typing import Any

import pytest

from controller.backends.docker.containers.exits import ContainerExits

AT = 1_767_265_200  # 2026-01-01T11:00:00Z
NOW = "2026-01-01T11:00:00Z"


def event(action: str, container: str = "c1", at: float = AT, **attributes: str) -> dict[str, Any]:
    return {"Action": action, "Actor": {"ID": container, "Attributes": attributes}, "timeNano": int(at * 10**9)}


DIED = event("die", exitCode="3")
KILLED = event("die", exitCode="137")
# Labels of an image that override the engine's own exit code in an event.
LABELS = ("abc", "", "-1", "256", "٣", "9" * 5000)


@pytest.mark.parametrize(
    ("events", "ending"),
    [
        pytest.param([DIED], (3, False), id="a crash"),
        pytest.param([DIED, event("start")], (3, False), id="started again"),
        pytest.param([KILLED], (137, False), id="killed"),
        pytest.param([event("oom"), KILLED], (137, True), id="out of memory"),
        pytest.param([event("oom"), DIED], (3, False), id="another of its programs was out of memory"),
        pytest.param([event("oom"), event("start"), KILLED], (137, False), id="out of memory in an earlier run"),
        pytest.param([event("die", at=AT - 1, exitCode="3")], None, id="an earlier exit"),
        pytest.param([event("die", "c2", exitCode="3")], None, id="another container"),
        *(pytest.param([event("die", exitCode=label)], None, id=f"label {label[:4]}") for label in LABELS),
        pytest.param([event("die", at=AT - 1, exitCode="3"), event("die", exitCode="x")], None, id="a label later"),
        pytest.param([DIED, event("destroy")], None, id="removed"),
        pytest.param([], None, id="no event"),
    ],
)
def test_the_exit_at_a_time_is_found(events: list[dict[str, Any]], ending: tuple[int, bool] | None) -> None:
    exits = ContainerExits()
    for noted in events:
        exits.note(noted)
    found = exits.of("c1", NOW)
    assert (found and (found.exit_code, found.out_of_memory)) == ending
