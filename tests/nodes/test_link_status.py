"""The state of the cloud link as the EdgeNodes show it, and which changes of it are written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.cloud.link import LinkState
from controller.nodes.link_status import LinkStatus

URL = "https://cloud.test"
UP = LinkState(agent_id="07048933", connected_since=1_767_225_600.0)
DOWN = LinkState(agent_id="07048933", last_error="the cloud cannot be reached", attempts=1)


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (None, ("False", "NoCloud", "EDGE_CLOUD_URL is empty")),
        (LinkState(), ("False", "Disconnected", "Connecting for the first time")),
        (DOWN, ("False", "Disconnected", "the cloud cannot be reached")),
        (UP, ("True", "Connected", f"Connected to {URL}")),
    ],
)
def test_each_state_has_its_condition(state: LinkState | None, shown: tuple[str, str, str]) -> None:
    status = LinkStatus(URL)
    if state:
        status.observe(state)
    assert status.current()[:3] == shown


def test_a_retired_agent_is_shown_whatever_its_link_does() -> None:
    status = LinkStatus(URL)
    status.observe(UP)
    status.retired = True
    assert (status.current().status, status.current().reason) == ("False", "Retired")


def test_the_facts_of_the_link_are_in_the_status() -> None:
    status = LinkStatus(URL)
    status.observe(replace(UP, last_error="x" * 2000))
    link = status.current().link
    assert (link.url, link.connected_since, len(link.last_error or "")) == (URL, "2026-01-01T00:00:00Z", 1024)


def test_only_what_people_see_causes_a_write() -> None:
    written, status = [], LinkStatus(URL)
    status.on_change(lambda: written.append(status.current().message))
    for state in (LinkState(), replace(LinkState(), attempts=1), DOWN, replace(DOWN, attempts=2), UP):
        status.observe(state)
    assert written == ["Connecting for the first time", DOWN.last_error, f"Connected to {URL}"]
