"""The controller's image in the session's engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import controller_image
from tests.support.dockerd import Engine


@pytest.fixture(scope="session")
def built(engine: Engine) -> Iterator[Any]:
    """The image, built once."""
    with contextlib.closing(engine.client(timeout=300)) as client:
        yield controller_image.build(client)
