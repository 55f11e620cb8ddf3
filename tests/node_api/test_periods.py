"""The period grammar of the consumption topics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.node_api import periods

NOW = 1_732_200_000.0


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("30m", (NOW - 1800, NOW)),
        ("1h", (NOW - 3600, NOW)),
        ("48h", (NOW - 172_800, NOW)),
        ("2d", (NOW - 172_800, NOW)),
        ("3600", (NOW - 3600, NOW)),
        ("1732100000,1732103600", (1_732_100_000.0, 1_732_103_600.0)),
        ("1732100000.5,1732100000.5", (1_732_100_000.5, 1_732_100_000.5)),
    ],
)
def test_a_period_has_bounds(text: str, bounds: tuple[float, float]) -> None:
    assert periods.bounds(periods.parse(text), NOW) == bounds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a period is"),
        ("1 h", "a period is"),
        ("1w", "a period is"),
        ("-1h", "a period is"),
        ("1h\n", "a period is"),
        ("1e9", "a period is"),
        ("\N{ARABIC-INDIC DIGIT ONE}h", "a period is"),
        ("nan,nan", "a period is"),
        ("1,2,3", "a period is"),
        ("9" * 5000, "a period is"),
        ("0", "longer than zero"),
        ("0h", "longer than zero"),
        ("2,1", "before it starts"),
    ],
)
def test_malformed_periods_are_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        periods.parse(text)


@given(st.text(alphabet="0123456789mhd,. -", max_size=30))
def test_every_accepted_period_has_a_start_and_an_end(text: str) -> None:
    try:
        start, end = periods.bounds(periods.parse(text), NOW)
    except ValueError:
        return
    assert start <= end
