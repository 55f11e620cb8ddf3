"""EDGE_IMAGE_PREFIXES matches whole components of a name, not just its first letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.runtimes import RuntimeSpec
from controller.runtimes.facets.image import allows

component = st.text("ab1", min_size=1, max_size=4)
registry = st.sampled_from(["ghcr.io", "127.0.0.1", "localhost", "registry.plant.example"])


def allowed(prefix: str, image: str, **more: str) -> bool:
    """Whether the prefix alone allows the image."""
    return allows((prefix,), RuntimeSpec(device_id="plc-1", image=image, **more))


@pytest.mark.parametrize(
    ("prefix", "image", "expected"),
    [
        ("ghcr.io", "ghcr.io/a/plc", True),
        ("ghcr.io", "ghcr.io.evil.example/x", False),
        ("ghcr.io", "ghcr.io:5000/x", False),
        ("ghcr.io", "ghcr.io", False),  # Docker Hub's image of that name
        ("ghcr.io/a", "ghcr.io/a", True),
        ("ghcr.io/a", "ghcr.io/a/b/c", True),
        ("ghcr.io/a", "ghcr.io/ab/x", False),
        ("ghcr.io/a", "ghcr.io/a-evil", False),
        ("ghcr.io/a/", "ghcr.io/a/x", True),
        ("ghcr.io/a/", "ghcr.io/a", False),
        ("ghcr.io/", "ghcr.io/a/x", True),
        ("GHCR.io/a", "ghcr.io/a/x", True),
        ("ghcr.io/a", "GHCR.IO/a/x", True),
        ("127.0.0.1:5000", "127.0.0.1:5000/plc", True),
        ("127.0.0.1:5000", "127.0.0.1:50001/plc", False),
        ("127.0.0.1", "127.0.0.1:5000/plc", False),
        ("localhost", "localhost/plc", True),
        ("localhost", "localhost.evil/plc", False),
        ("docker.io", "plc", True),
        ("docker.io", "autonomy/plc", True),
        ("docker.io", "docker.io.evil/plc", False),
        ("docker.io/library/plc", "plc", True),
        ("plc", "docker.io/library/plc", True),
        ("plc", "index.docker.io/library/plc", True),
        ("plc", "plc-evil", False),
        ("autonomy", "autonomy/plc", True),
        ("autonomy", "docker.io/autonomy/plc", True),
        ("autonomy", "autonomy-evil/plc", False),
        ("autonomy/plc", "evil.example/autonomy/plc", False),
        ("docker.io/library", "autonomy/plc", False),
        ("plc", "ghcr.io/plc", False),
    ],
)
def test_a_prefix_matches_whole_components(prefix: str, image: str, expected: bool) -> None:
    assert allowed(prefix, image) == expected


@pytest.mark.parametrize("repository", ["ghcr.io/a/plc", "plc", "127.0.0.1:5000/plc"])
def test_a_prefix_with_a_tag_or_digest_allows_exactly_that_image(repository: str) -> None:
    digest = f"sha256:{'a' * 64}"
    assert allowed(f"{repository}:1", repository, version="1")
    assert not allowed(f"{repository}:1", repository, version="1.2")
    assert not allowed(f"{repository}:1", repository)
    assert allowed(f"{repository}@{digest}", repository, digest=digest)
    assert not allowed(f"{repository}:1", repository, version="1", digest=digest)


def test_without_prefixes_every_image_is_allowed() -> None:
    assert allows((), RuntimeSpec(device_id="plc-1", image="anything/at-all"))


@given(registry, st.lists(component, max_size=2), st.lists(component, min_size=1, max_size=2))
def test_everything_below_a_prefix_is_allowed(host: str, owner: list[str], name: list[str]) -> None:
    assert allowed("/".join([host, *owner]), "/".join([host, *owner, *name]))


@given(registry, st.lists(component, max_size=2), component, component)
def test_a_longer_last_component_is_refused(host: str, owner: list[str], more: str, name: str) -> None:
    prefix = "/".join([host, *owner])
    assert not allowed(prefix, f"{prefix}{more}/{name}")


@given(component, component)
def test_all_forms_of_a_docker_hub_name_are_equal(owner: str, name: str) -> None:
    for prefix in (f"{owner}/{name}", f"docker.io/{owner}/{name}", f"index.docker.io/{owner}"):
        for image in (f"{owner}/{name}", f"docker.io/{owner}/{name}", f"index.docker.io/{owner}/{name}"):
            assert allowed(prefix, image)
