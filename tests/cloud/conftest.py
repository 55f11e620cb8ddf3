"""A local cloud with one enrolled agent, and a cloud that sends raw frames."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from controller.cloud.identity import Identity
from controller.localcloud.server import Cloud
from tests.support.certificates import Authority
from tests.support.links import identity_in
from tests.support.wire import WireCloud

AGENT = "07048933"


@pytest.fixture
async def enrolled(cloud: Cloud) -> Path:
    """The folder with the enrolled agent's files."""
    return await cloud.enroll(AGENT)


@pytest.fixture
def load_identity(enrolled: Path) -> Callable[[], Identity]:
    """Loads the agent's files."""
    return identity_in(enrolled)


@pytest.fixture
def load_wire_identity(certificates: Authority) -> Callable[[], Identity]:
    """Loads a certificate that the raw cloud accepts."""
    pair = certificates.agent(AGENT)
    return lambda: Identity.load(pair.certificate, pair.key, certificates.ca)


@pytest.fixture
async def wire(certificates: Authority) -> AsyncIterator[WireCloud]:
    """A started raw cloud."""
    async with WireCloud(certificates) as wire:
        yield wire
