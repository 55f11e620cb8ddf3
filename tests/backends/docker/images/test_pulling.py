"""References, credentials and the progress of a pull."""

from __future__ import annotations

import pytest

from controller.backends.docker.engine.failures import Refusal
from controller.backends.docker.images import pulling


@pytest.mark.parametrize(
    ("repository", "registry", "matches"),
    [
        ("ghcr.io/a/b", "ghcr.io", True),
        ("ghcr.io/a/b", "https://ghcr.io/", True),
        ("127.0.0.1:5000/b", "127.0.0.1:5000", True),
        ("127.0.0.1:5000/b", "127.0.0.1", False),
        ("plc", "https://index.docker.io/v1/", True),
        ("autonomy/plc", "docker.io", True),
        ("autonomy/plc", "ghcr.io", False),
        ("ghcr.io.evil/plc", "ghcr.io", False),
        ("index.docker.io/autonomy/plc", "docker.io", True),
        ("ghcr.io/a/b", "ghcr.io/a", True),
        ("ghcr.io/a/b", "https://ghcr.io/v2/a/b/", True),
        ("ghcr.io/ab/c", "ghcr.io/a", False),
        ("ghcr.io/a/b", "ghcr.io/a/b/c", False),
        ("eu.registry.test/a", "*.registry.test", True),
        ("registry.test/a", "*.registry.test", False),
        ("a.eu.registry.test/a", "*.registry.test", False),
        ("eu.registry.test:5000/a", "*.registry.test", False),
        ("eu.registry.test:5000/a", "*.registry.test:5000", True),
    ],
)
def test_credentials_go_to_their_registry_only(repository: str, registry: str, matches: bool) -> None:
    given_here = {"registry": registry, "username": "u", "password": "p"}

    assert (pulling.credentials_for(repository, [given_here]) is not None) == matches


@pytest.mark.parametrize(
    ("repository", "chosen"),
    [
        ("ghcr.io/plant/line/plc", "ghcr.io/plant/line"),
        ("ghcr.io/plant/other", "ghcr.io/plant"),
        ("ghcr.io/vendor", "ghcr.io"),
        ("eu.ghcr.io/plant", "*.ghcr.io"),
    ],
)
def test_the_longest_matching_path_decides_whatever_the_order(repository: str, chosen: str) -> None:
    entries = ["*.io", "ghcr.io", "ghcr.io/plant/line", "*.ghcr.io", "ghcr.io/plant"]
    for ordered in (entries, entries[::-1]):
        given_here = [{"registry": entry, "username": entry, "password": "p"} for entry in ordered]
        found = pulling.credentials_for(repository, given_here)
        assert found is not None
        assert found["username"] == chosen


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("plc:1", ("plc", "1")),
        ("127.0.0.1:5000/plc:1", ("127.0.0.1:5000/plc", "1")),
        ("r/plc@sha256:ab", ("r/plc", "sha256:ab")),
    ],
)
def test_a_reference_is_split_into_repository_and_tag(reference: str, expected: tuple[str, str]) -> None:
    assert pulling.repository_of(reference) == expected


def test_progress_adds_up_the_layers() -> None:
    download = pulling.Download("plc:1")
    assert download.describe() == "Pulling plc:1"
    for layer, done in (("a", 1_000_000), ("b", 500_000)):
        detail = {"current": done, "total": 2_000_000}
        download.take({"id": layer, "status": "Downloading", "progressDetail": detail})
    assert download.describe() == "Pulling plc:1: 37 % (1.5 of 4.0 MB)"

    download.take({"id": "a", "status": "Pull complete"})

    assert download.describe() == "Pulling plc:1: 62 % (2.5 of 4.0 MB)"


def test_a_pull_that_fails_half_way_is_a_refusal() -> None:
    with pytest.raises(Refusal, match="denied"):
        pulling.Download("plc:1").take({"error": "denied", "errorDetail": {"message": "denied: no"}})


@pytest.mark.parametrize(
    ("pin", "source", "expected", "movable"),
    [
        ("plc@sha256:1", "plc:1", "plc:1@sha256:1", False),
        ("plc@sha256:1", "plc@sha256:2", "plc@sha256:1", False),
        ("plc@sha256:1", "", "plc@sha256:1", False),
        ("sha256:1", "plc:1", "plc:1", True),
        ("sha256:1", "", "sha256:1", False),
    ],
    ids=["a tag", "a digest", "an unknown reference", "an image from no registry", "an image without a name"],
)
def test_a_container_shows_the_image_of_the_spec(pin: str, source: str, expected: str, movable: bool) -> None:
    assert pulling.readable_name(pin, source) == expected
    assert pulling.is_movable(expected) == movable
