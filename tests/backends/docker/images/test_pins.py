"""Which pin an image gets: its digest only if a registry has it, else its id."""

from __future__ import annotations

from typing import Any

import pytest

from controller.backends.docker.engine.capabilities import Capabilities
from controller.backends.docker.images import pins

ID, OTHER = "sha256:1111", "sha256:2222"
CLASSIC, SILENT, TELLING = (Capabilities.of(version) for version in ("1.41", "1.51", "1.56"))


def image(*digests: str, pulled_from: str = "") -> dict[str, Any]:
    """What an engine reports about the image with ``ID``."""
    origins = {"Identity": {"Pull": [{"Repository": pulled_from}]}} if pulled_from else {}
    return {"Id": ID, "RepoDigests": list(digests), **origins}


@pytest.mark.parametrize(
    ("found", "repository", "engine", "expected"),
    [
        pytest.param(image(), "plc", CLASSIC, ID, id="built on the host"),
        pytest.param(image(f"plc@{OTHER}"), "docker.io/library/plc", CLASSIC, f"plc@{OTHER}", id="pulled"),
        pytest.param(image(f"other@{OTHER}"), "plc", CLASSIC, ID, id="pulled from another repository"),
        pytest.param(image(f"plc@{ID}"), "plc", SILENT, ID, id="containerd: a name that may be local"),
        pytest.param(
            image(f"registry.plant/plc@{ID}"),
            "registry.plant/plc",
            SILENT,
            f"registry.plant/plc@{ID}",
            id="containerd: the name of a registry",
        ),
        pytest.param(image(f"plc@{ID}"), "plc", TELLING, ID, id="containerd: built on the host"),
        pytest.param(
            image(f"registry.plant:5000/plc@{ID}", pulled_from="registry.plant/plc"),
            "registry.plant:5000/plc",
            TELLING,
            f"registry.plant:5000/plc@{ID}",
            id="containerd: pulled from a registry with a port",
        ),
        pytest.param(
            image(f"plc@{ID}", pulled_from="docker.io/library/plc"),
            "plc",
            TELLING,
            f"plc@{ID}",
            id="containerd: pulled",
        ),
        pytest.param(
            image(f"plc@{ID}", pulled_from="docker.io/library/other"), "plc", TELLING, ID, id="containerd: a new name"
        ),
    ],
)
def test_an_image_has_a_digest_only_where_a_registry_has_it(
    found: dict[str, Any], repository: str, engine: Capabilities, expected: str
) -> None:
    assert pins.pin(found, repository, engine) == expected


def test_the_digest_of_a_pull_is_believed() -> None:
    assert pins.pin(image(f"plc@{ID}"), "plc", SILENT, pulled=True) == f"plc@{ID}"
