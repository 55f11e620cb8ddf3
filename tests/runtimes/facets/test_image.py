"""The image: what EDGE_IMAGE_PREFIXES allows (whole components of a name), what replaces it, and its status."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import names
from controller.api import reasons
from controller.api.runtime_status import RuntimeStatus
from controller.api.runtimes import RuntimeSpec
from controller.backends.base import Step
from controller.backends.observation import Observed
from controller.runtimes.facets import image as image_facet
from controller.runtimes.facets.image import allows
from controller.runtimes.outcome import Outcome, Report
from tests.runtimes.plan_table import ABSENT, RUNNING, SPEC, desired, seen

READY_NOW = Outcome("ready", reasons.RUNNING, "It runs")

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


@pytest.mark.parametrize(
    ("source", "pin", "expected"),
    [
        ("registry/plc:1", "pin-1", False),
        ("registry/plc:latest", "pin-1", False),
        ("registry/plc:1", "sha256:other-form", False),
        ("registry/plc:0", "pin-0", True),
    ],
    ids=["the same", "two references to one image", "two forms of one pin", "another image"],
)
def test_only_another_reference_to_another_image_replaces(source: str, pin: str, expected: bool) -> None:
    assert image_facet.replaces(desired(), seen(source=source, pin=pin), SPEC) is expected


def test_an_image_outside_the_prefixes_is_refused() -> None:
    outcome = image_facet.refusal(desired(image_allowed=False))
    assert outcome is not None
    assert (outcome.kind, outcome.reason) == ("stalled", reasons.IMAGE_NOT_ALLOWED)
    assert image_facet.refusal(desired()) is None


def test_an_unpinned_image_is_pinned() -> None:
    assert image_facet.repair(desired(), seen(unpinned=True)) == (Step.PIN_IMAGE,)
    assert image_facet.repair(desired(), RUNNING) == ()


@pytest.mark.parametrize(
    ("before", "pinned", "observed", "expected"),
    [
        pytest.param({}, None, ABSENT, {}, id="nothing is known"),
        pytest.param(
            {"image": "pin-1"},
            "pin-1",
            RUNNING,
            {"image": "pin-1", "image_source": "registry/plc:1", "previous_image": None},
            id="it runs as resolved",
        ),
        pytest.param(
            {"image": "pin-0"},
            "pin-1",
            RUNNING,
            {"image": "pin-1", "image_source": "registry/plc:1", "previous_image": "pin-0"},
            id="it was replaced",
        ),
        pytest.param(
            {"image": "pin-1", "previous_image": "pin-0"},
            "pin-2",
            RUNNING,
            {"image": "pin-1", "image_source": "registry/plc:1", "previous_image": "pin-0"},
            id="another one is resolved, but not running yet",
        ),
    ],
)
def test_the_status_names_the_running_image(
    before: dict[str, str], pinned: str | None, observed: Observed, expected: dict[str, str | None]
) -> None:
    target = replace(desired().target, image=pinned)
    report = Report(target, READY_NOW, 0.0, "node-1", observed, image_source="registry/plc:1")
    assert image_facet.status(RuntimeStatus(**before), report, observed) == expected


@pytest.mark.parametrize(("is_allowed", "expected"), [(True, None), (False, (names.IMAGE_ALLOWED, "False"))])
def test_the_condition_shows_only_a_refusal(is_allowed: bool, expected: tuple[str, str] | None) -> None:
    report = Report(desired().target, READY_NOW, 0.0, "node-1", RUNNING, image_allowed=is_allowed)
    found = image_facet.condition(report, RUNNING, ())
    assert (found and (found.type, found.status)) == expected
