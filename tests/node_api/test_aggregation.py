"""Several nodes as one agent: memory and disk are summed, CPU is weighted by cores, the longest uptime counts."""

from __future__ import annotations

import pytest

from controller import errors
from controller.metrics.host import HostReading
from controller.node_api import aggregation
from controller.node_api.node import HostFacts, Point, Reading, Usage

BIG = Reading(HostReading(80.0, 6, 16, 20, 100, 1000), 6)
SMALL = Reading(HostReading(20.0, 1, 2, 5, 30, 9000), 2)


def test_readings_of_all_hosts_are_combined() -> None:
    assert aggregation.reading([BIG, SMALL]) == Reading(HostReading(65.0, 7, 18, 25, 130, 9000), 8)


def test_without_hosts_the_reading_is_zero() -> None:
    assert aggregation.reading([]) == Reading(HostReading(0, 0, 0, 0, 0, 0), 0)


def test_facts_of_all_hosts_are_combined() -> None:
    one = HostFacts("Debian 12", "6.1", 6, 16, 100, [("eth0", "10.0.0.1")])
    two = HostFacts("Debian 12", "6.6", 2, 2, 30, [("eth0", "10.0.0.2")])
    assert aggregation.facts([one, two]) == HostFacts(
        "Debian 12", "6.1, 6.6", 8, 18, 130, [("eth0", "10.0.0.1"), ("eth0", "10.0.0.2")]
    )


def test_curves_are_summed_at_the_nearest_samples() -> None:
    one = Usage([Point(100, 80.0), Point(105, 40.0)], [Point(100, 10.0), Point(105, 12.0)])
    two = Usage([Point(102, 20.0)], [Point(102, 4.0)])
    assert aggregation.usage([(6, one), (2, two)]) == Usage(
        cpu=[Point(100, 65.0), Point(105, 35.0)], memory=[Point(100, 14.0), Point(105, 16.0)]
    )


def test_a_host_without_nearby_samples_adds_nothing() -> None:
    one, two = Usage([], [Point(1000, 10.0)]), Usage([], [Point(10, 4.0)])
    assert aggregation.usage([(4, one), (4, two)]).memory == [Point(1000, 10.0)]


def test_the_curve_of_a_single_host_is_unchanged() -> None:
    usage = Usage([Point(1, 12.5)], [Point(1, 3.5), Point(6, 3.5)])
    assert aggregation.usage([(4, usage)]) == usage


async def test_failed_queries_are_left_out_unless_all_fail() -> None:
    async def answer(text: str) -> str:
        if not text:
            raise errors.CommandError("it cannot be asked")
        return text

    assert await aggregation.gather_answers([answer("a"), answer(""), answer("b")]) == ["a", "b"]
    with pytest.raises(errors.CommandError, match="cannot be asked"):
        await aggregation.gather_answers([answer(""), answer("")])
    assert await aggregation.gather_answers([]) == []


async def _fails(error: BaseException) -> int:
    raise error


async def _answers() -> int:
    return 1


@pytest.mark.parametrize(
    "error", [errors.CommandError("away"), errors.Waiting("DockerUnreachable", "x"), KeyError("x")]
)
async def test_a_failure_of_any_kind_keeps_the_other_answers(error: Exception) -> None:
    assert await aggregation.gather_answers([_fails(error), _answers()]) == [1]
    with pytest.raises(type(error)):
        await aggregation.gather_answers([_fails(error), _fails(error)])
