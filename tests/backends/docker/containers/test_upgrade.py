"""An engine that is upgraded on the same data: the runtime keeps its addresses on the LAN."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from controller.backends import base
from controller.backends.docker.backend import DockerBackend
from controller.backends.docker.parts import HostServices
from tests.backends.conftest import INTERNAL_POOL, BackendHarness, interface
from tests.support import dockerd, image
from tests.support.lan import Lan

pytestmark = pytest.mark.docker


@pytest.fixture
def older(engine: dockerd.Engine, runtime_images: dict[str, image.Image]) -> Iterator[dockerd.Engine]:
    """The distribution's engine with the runc of the newer one, because containers record the runtime's name."""
    with dockerd.Engine(runtime=engine.runtime) as made:
        client = made.client()
        image.load(client, list(runtime_images.values()))
        client.close()
        yield made


def backend_of(engine: dockerd.Engine, install_id: str, host: HostServices) -> DockerBackend:
    """A backend on an engine."""
    return DockerBackend(engine.url, install_id, INTERNAL_POOL, host, settle_seconds=1.0)


async def test_address_and_mac_survive_an_upgrade_of_the_engine(
    older: dockerd.Engine, engine: dockerd.Engine, install_id: str, host: HostServices, lan: Lan, runtime_image: str
) -> None:
    harness = BackendHarness(backend_of(older, install_id, host), install_id, runtime_image)
    interfaces = [interface(lan, 40), interface(lan, 41, "cell0", gateway=None)]
    target = await harness.up(harness.target(interfaces=interfaces))
    before = [lan.mac_of(lan.address(number)) for number in (40, 41)]
    made: Any = await harness.backend.observe(target)
    harness.backend.close()
    await asyncio.to_thread(older.stop)

    newer = dockerd.Engine(engine.binary, older.root, runtime=engine.runtime)
    await asyncio.to_thread(newer.start)
    try:
        harness.backend = backend_of(newer, install_id, host)
        found = await harness.backend.observe(target)
        if not found.running:  # the engine may not have restarted it yet
            await harness.run(target, base.Step.START_CONTAINER)
        await harness.run(target, base.Step.REPAIR_NETWORKS)
        found = await harness.backend.observe(target)
        assert found.container_id == made.container_id
        assert {each.name: each.detail for each in found.network.interfaces if not each.in_order} == {}
        assert [lan.mac_of(lan.address(number)) for number in (40, 41)] == before
        assert lan.ping(lan.address(40))
        await harness.down(target)
        harness.backend.close()
    finally:
        await asyncio.to_thread(newer.stop)
