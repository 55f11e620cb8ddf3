"""One real two-node cluster for the session; whoever changes it for a test puts it back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import nodes
from tests.support import image


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Cluster]:
    """The cluster, with the runtime's images on both nodes. It fails the session when something of it is left."""
    with nodes.Cluster(nodes.build(), tmp_path_factory.mktemp("cluster"), count=2) as made:
        made.load(image.runtime_images())
        yield made
    assert nodes.traces() == [], "parts of a cluster left behind"
