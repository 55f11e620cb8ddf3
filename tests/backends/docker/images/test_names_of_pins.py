"""Whether a name means a pinned image, which mostly takes one question to the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine.client import Engine
from controller.backends.docker.images.images import Images
from tests.support.stub_engine import LIMITS, StubEngine

ID, OTHER = f"sha256:{1:064}", f"sha256:{2:064}"
DIGEST = f"plc@sha256:{3:064}"
QUOTED = DIGEST.replace("@", "%40")
NAMED, PINNED = "GET /images/plc:1/json", f"GET /images/{QUOTED}/json"


@pytest.fixture
async def images(stub: StubEngine) -> AsyncIterator[Images]:
    engine = Engine(stub.url, LIMITS)
    await engine.capabilities()
    stub.requests.clear()
    yield Images(engine, Containers(engine))
    engine.close()


@pytest.mark.parametrize(
    ("named", "pin"), [({"Id": ID}, ID), ({"Id": ID, "RepoDigests": [DIGEST]}, DIGEST)], ids=["id", "digest"]
)
async def test_an_image_that_shows_its_pin_is_asked_for_once(
    stub: StubEngine, images: Images, named: dict[str, Any], pin: str
) -> None:
    stub.answers["/images/plc:1/json"] = named
    assert await images.resolves_to("plc:1", pin)
    assert stub.requests == [NAMED]


@pytest.mark.parametrize("pinned", [ID, OTHER])
async def test_an_image_that_does_not_show_its_pin_is_compared_by_id(
    stub: StubEngine, images: Images, pinned: str
) -> None:
    stub.answers |= {"/images/plc:1/json": {"Id": ID, "RepoDigests": []}, f"/images/{QUOTED}/json": {"Id": pinned}}
    assert await images.resolves_to("plc:1", DIGEST) == (pinned == ID)
    assert stub.requests == [NAMED, PINNED]
