"""How the connection answers for an object that may be absent; test_breaker.py has an engine that hangs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import methodcaller

import pytest

from controller.backends.docker.engine.client import Engine
from controller.backends.docker.engine.failures import Refusal
from tests.support.stub_engine import LIMITS, StubEngine

CONTAINER = "/containers/plc1/json"


@pytest.fixture
async def engine(stub: StubEngine) -> AsyncIterator[Engine]:
    """A connection to the stub."""
    made = Engine(stub.url, LIMITS)
    yield made
    made.close()


async def test_an_existing_object_is_found(stub: StubEngine, engine: Engine) -> None:
    stub.answers[CONTAINER] = {"Id": "1"}

    assert await engine.find(lambda client: client.inspect_container("plc1")) == {"Id": "1"}


async def test_an_absent_object_is_none(stub: StubEngine, engine: Engine) -> None:
    stub.statuses[CONTAINER] = "404 Not Found"

    assert await engine.find(lambda client: client.inspect_container("plc1")) is None


async def test_calls_about_different_objects_use_the_same_connection(stub: StubEngine, engine: Engine) -> None:
    await engine.find(lambda client: client.inspect_container("plc1"))
    opened = stub.connections

    for number in range(2, 40):
        await engine.find(methodcaller("inspect_container", f"plc{number}"))

    assert stub.connections == opened


@pytest.mark.parametrize("status", ["500 Internal Server Error", "400 Bad Request"])
async def test_another_refusal_is_raised(stub: StubEngine, engine: Engine, status: str) -> None:
    stub.statuses[CONTAINER] = status

    with pytest.raises(Refusal) as refused:
        await engine.find(lambda client: client.inspect_container("plc1"))

    assert refused.value.status == int(status[:3])


async def test_the_caller_says_which_refusals_mean_absent(stub: StubEngine, engine: Engine) -> None:
    stub.statuses[CONTAINER] = "400 Bad Request"

    assert await engine.find(lambda client: client.inspect_container("plc1"), (400, 404)) is None
