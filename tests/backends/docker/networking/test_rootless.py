"""A rootless engine: it has a network namespace of its own, so that none of its networks reaches the LAN."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.backends.base import Step, Target
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from tests.backends.conftest import INTERNAL_POOL, BackendHarness
from tests.support.stub_engine import LIMITS, StubEngine

IMAGE = "plc:1"  # as if it were pinned
LAN = {"name": "lan0", "parentInterface": "lo", "mode": "Static", "address": "10.1.0.10", "subnet": "10.1.0.0/24"}
ROOTLESS = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}


@pytest.fixture
async def rootless(stub: StubEngine, host: HostServices) -> AsyncIterator[BackendHarness]:
    """A backend on a rootless engine that has the image, and no container."""
    stub.answers["/info"] = ROOTLESS
    stub.statuses["/networks/create"] = "500 Internal Server Error"
    backend = DockerBackend(stub.url, "x", INTERNAL_POOL, host, limits=LIMITS)
    yield BackendHarness(backend, "x", "plc")
    backend.close()


async def refusal_of(harness: BackendHarness, target: Target) -> errors.ReconcileError:
    """How the creation of the container ends."""
    with pytest.raises(errors.ReconcileError) as refused:
        await harness.run(replace(target, image=IMAGE), Step.CREATE_CONTAINER)
    return refused.value


def changes(stub: StubEngine) -> list[str]:
    """The requests that change something."""
    return [request for request in stub.requests if not request.startswith("GET")]


async def test_a_rootless_engine_gets_no_runtime_with_a_lan_address(stub: StubEngine, rootless: BackendHarness) -> None:
    refused = await refusal_of(rootless, rootless.target(interfaces=[LAN]))

    assert (type(refused), refused.reason) == (errors.Stalled, reasons.ENGINE_ROOTLESS)
    assert str(refused) == "Rootless engines cannot give LAN addresses: use the system's engine"
    assert changes(stub) == []


@pytest.mark.parametrize(("interfaces", "info"), [([], ROOTLESS), ([LAN], {})], ids=["no LAN", "the system's engine"])
async def test_other_runtimes_and_engines_are_not_affected(
    stub: StubEngine, rootless: BackendHarness, interfaces: list[Any], info: dict[str, Any]
) -> None:
    stub.answers["/info"] = info

    await refusal_of(rootless, rootless.target(interfaces=interfaces))

    assert changes(stub) == ["POST /networks/create"]


async def test_the_engine_is_described_until_it_is_the_systems(stub: StubEngine, rootless: BackendHarness) -> None:
    for info in (ROOTLESS, {}, {}):
        stub.answers["/info"] = info
        await refusal_of(rootless, rootless.target(interfaces=[LAN]))

    assert stub.requests.count("GET /info") == 2
