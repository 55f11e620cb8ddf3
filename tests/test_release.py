"""The date of the release, the lower bound of a correct clock."""

from __future__ import annotations

import re
from pathlib import Path

from controller import RELEASED
from controller.machinery import timestamps

RELEASES = Path(__file__).parent / "upgrades" / "releases"


def test_no_fixture_of_a_release_is_newer_than_the_date() -> None:
    kept = [path.read_text() for path in RELEASES.glob("*/*.yaml")]
    times = [timestamps.seconds(found) for text in kept for found in re.findall(r"20\d\d-\d\d-\d\dT[\d:]+Z", text)]
    assert times
    assert max(time for time in times if time is not None) <= RELEASED.timestamp()
