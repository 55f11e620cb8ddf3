"""Images from a registry: pinned, pulled with progress, refused with a reason, removed when superseded."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.backends import base
from controller.backends.base import Target
from controller.backends.docker.images.images import Images
from tests.backends.conftest import BackendHarness
from tests.support.image import Image, Layer
from tests.support.registry import Registry

pytestmark = pytest.mark.docker


@pytest.fixture
def registry(runtime_images: dict[str, Image], api: Any) -> Iterator[Registry]:
    """A registry with the runtime's images; images pulled from it are removed afterwards."""
    with Registry() as made:
        for tag, image in runtime_images.items():
            made.push("plc", tag, image)
        yield made
        for image in api.images():
            for name in (*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())):
                if name.startswith(made.address) and _exists(api, name):
                    api.remove_image(name, force=True)


def _exists(api: Any, name: str) -> bool:
    return any(name in (*(i.get("RepoTags") or ()), *(i.get("RepoDigests") or ())) for i in api.images())


def shown(api: Any, target: Target) -> tuple[str, str]:
    """The image that `docker ps` shows for a runtime's container, and the id of its actual image."""
    (found,) = api.containers(all=True, filters={"name": f"^/{target.identity.device_id}$"})
    return found["Image"], found["ImageID"]


def never_seen(megabytes: int) -> Image:
    """An image that no engine has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = megabytes * 1_000_000
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    return Image("x:1", Layer(buffer.getvalue()))


def another(image: Image) -> Image:
    """The same program under another digest."""
    return dataclasses.replace(image, settings={**image.settings, "Labels": {"edition": "another"}})


@pytest.fixture
def desired(harness: BackendHarness, registry: Registry) -> Callable[..., Target]:
    """Builds targets with the registry's image."""
    return lambda version="1", **spec: harness.target(image=f"{registry.address}/plc", version=version, **spec)


async def test_a_tag_is_pinned_to_its_digest(harness: BackendHarness, desired: Callable[..., Target]) -> None:
    target = await harness.run(desired(), base.Step.RESOLVE_IMAGE)

    assert target.image is not None
    assert target.image.startswith(f"{target.spec.image}@sha256:")
    assert harness.progress.lines[0][0] == reasons.IMAGE_PULLING


async def test_an_image_that_a_person_pulled_is_pinned_to_its_digest(
    harness: BackendHarness, registry: Registry, api: Any, desired: Callable[..., Target]
) -> None:
    await asyncio.to_thread(api.pull, f"{registry.address}/plc", "1")
    target = await harness.run(desired(), base.Step.RESOLVE_IMAGE)

    assert (target.image or "").startswith(f"{target.spec.image}@sha256:")
    assert harness.progress.lines == []


async def test_a_tag_that_moved_is_pulled_only_by_policy_always(
    harness: BackendHarness, registry: Registry, runtime_images: dict[str, Image], desired: Callable[..., Target]
) -> None:
    first = await harness.run(desired(), base.Step.RESOLVE_IMAGE)
    registry.push("plc", "1", runtime_images["2"])

    kept = await harness.run(desired(), base.Step.RESOLVE_IMAGE)
    moved = await harness.run(desired(imagePullPolicy="Always"), base.Step.RESOLVE_IMAGE)

    assert kept.image == first.image
    assert moved.image != first.image


async def test_a_pin_is_kept_and_pulled_again_when_it_was_removed(
    harness: BackendHarness,
    registry: Registry,
    runtime_images: dict[str, Image],
    desired: Callable[..., Target],
    api: Any,
) -> None:
    pinned = await harness.run(desired(), base.Step.RESOLVE_IMAGE)
    api.remove_image(pinned.image, force=True)
    registry.push("plc", "1", runtime_images["2"])

    again = await harness.up(pinned)

    assert again.image == pinned.image
    assert (await harness.backend.observe(again)).running


async def test_an_image_that_may_not_be_pulled_must_exist(
    harness: BackendHarness, desired: Callable[..., Target]
) -> None:
    with pytest.raises(errors.Stalled) as missing:
        await harness.run(desired(imagePullPolicy="Never"), base.Step.RESOLVE_IMAGE)

    assert missing.value.reason == reasons.IMAGE_NOT_FOUND


async def test_a_local_image_is_pinned_without_a_registry(harness: BackendHarness) -> None:
    target = await harness.run(harness.target(), base.Step.RESOLVE_IMAGE)

    assert (target.image or "").startswith("sha256:")


async def test_a_local_image_that_was_removed_is_never_pulled(harness: BackendHarness, api: Any) -> None:
    api.tag(f"{harness.image}:1", "edge-test-local", "1")
    target = harness.target(image="edge-test-local")
    built = await harness.run(target, base.Step.RESOLVE_IMAGE)
    api.remove_image("edge-test-local:1")

    gone = dataclasses.replace(target, image="sha256:" + "0" * 64)
    with pytest.raises(errors.Stalled, match="came from no registry: load it again"):
        await harness.run(gone, base.Step.RESOLVE_IMAGE)
    assert (await harness.run(built, base.Step.RESOLVE_IMAGE)).image == built.image


async def test_docker_ps_shows_the_image_of_the_spec(
    harness: BackendHarness,
    api: Any,
    registry: Registry,
    runtime_images: dict[str, Image],
    desired: Callable[..., Target],
) -> None:
    pulled = await harness.run(desired(), base.Step.RESOLVE_IMAGE)
    registry.push("plc", "1", runtime_images["2"])  # a tag that moves does nothing
    await harness.run(pulled, base.Step.CREATE_CONTAINER)
    local = await harness.run(harness.target("plc2"), base.Step.RESOLVE_IMAGE, base.Step.CREATE_CONTAINER)

    assert pulled.image
    repository, _, digest = pulled.image.partition("@")
    assert shown(api, pulled)[0] == f"{repository}:1@{digest}"  # `docker ps` omits the digest
    assert shown(api, local)[0].partition("@")[0] == f"{harness.image}:1"
    for target in (pulled, local):
        assert (await harness.backend.observe(target)).image.pin == target.image


@pytest.mark.parametrize("moves", ["before", "meanwhile"])
async def test_a_moving_tag_of_a_local_image_does_not_change_what_runs(
    harness: BackendHarness, api: Any, monkeypatch: pytest.MonkeyPatch, moves: str
) -> None:
    api.tag(f"{harness.image}:1", harness.image, "moving")
    target = await harness.run(harness.target(version="moving"), base.Step.RESOLVE_IMAGE)
    if moves == "before":
        api.tag(f"{harness.image}:2", harness.image, "moving")
    else:
        original = Images.resolves_to

        async def move_meanwhile(images: Images, name: str, pin: str) -> bool:
            found = await original(images, name, pin)
            await asyncio.to_thread(api.tag, f"{harness.image}:2", harness.image, "moving")
            return bool(found)

        monkeypatch.setattr(Images, "resolves_to", move_meanwhile)
    try:
        await harness.run(target, base.Step.CREATE_CONTAINER)
        assert shown(api, target)[1] == api.inspect_image(f"{harness.image}:1")["Id"]
        assert (await harness.backend.observe(target)).image.pin == target.image
    finally:
        api.remove_image(f"{harness.image}:moving", noprune=True)


async def test_an_unknown_tag_is_not_found(harness: BackendHarness, desired: Callable[..., Target]) -> None:
    with pytest.raises(errors.Stalled) as failure:
        await harness.run(desired("nosuch"), base.Step.RESOLVE_IMAGE)

    assert failure.value.reason == reasons.IMAGE_NOT_FOUND


async def test_an_unavailable_registry_is_retried(
    harness: BackendHarness, registry: Registry, desired: Callable[..., Target]
) -> None:
    registry.available = False

    with pytest.raises(errors.Retry) as failure:
        await harness.run(desired(), base.Step.RESOLVE_IMAGE)

    assert failure.value.reason == reasons.IMAGE_PULL_FAILED


async def test_a_refused_connection_is_retried(harness: BackendHarness) -> None:
    with pytest.raises(errors.Retry) as failure:
        await harness.run(harness.target(image="127.0.0.1:1/plc"), base.Step.RESOLVE_IMAGE)

    assert failure.value.reason == reasons.IMAGE_PULL_FAILED


@pytest.mark.parametrize(
    ("password", "outcome"), [("right", None), ("wrong", reasons.IMAGE_REFUSED), (None, reasons.IMAGE_REFUSED)]
)
async def test_a_private_registry_requires_credentials(
    harness: BackendHarness,
    registry: Registry,
    desired: Callable[..., Target],
    password: str | None,
    outcome: str | None,
) -> None:
    registry.credentials = ("plant", "right")
    given = {"registry": registry.address, "username": "plant", "password": password or ""}
    target = dataclasses.replace(desired(), pull_credentials=(given,) if password else ())

    if outcome is None:
        assert (await harness.run(target, base.Step.RESOLVE_IMAGE)).image
        return
    with pytest.raises(errors.Stalled) as failure:
        await harness.run(target, base.Step.RESOLVE_IMAGE)
    assert failure.value.reason == outcome
    assert "right" not in str(failure.value)


async def test_a_slow_pull_reports_progress(
    harness: BackendHarness, registry: Registry, desired: Callable[..., Target]
) -> None:
    registry.push("plc", "large", never_seen(megabytes=4))
    registry.bytes_per_second = 2_000_000

    await harness.run(desired("large"), base.Step.RESOLVE_IMAGE)

    assert any("%" in message for _, message in harness.progress.lines), harness.progress.lines


async def test_a_pull_can_be_cancelled(
    harness: BackendHarness, registry: Registry, desired: Callable[..., Target]
) -> None:
    registry.push("plc", "large", never_seen(megabytes=4))
    registry.bytes_per_second = 65_536
    started = asyncio.Event()

    async def progress(_reason: str, message: str) -> None:
        if "%" in message:
            started.set()

    pulling = asyncio.create_task(harness.backend.execute(base.Step.RESOLVE_IMAGE, desired("large"), progress))
    await started.wait()
    pulling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(pulling, 30)
    assert await harness.backend.list_containers() == []


async def test_superseded_images_are_removed_except_the_previous_one(
    harness: BackendHarness,
    registry: Registry,
    runtime_images: dict[str, Image],
    desired: Callable[..., Target],
    api: Any,
) -> None:
    registry.push("plc", "3", another(runtime_images["1"]))
    first = await harness.up(desired("1"))

    second = await harness.run(desired("2"), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)
    third = await harness.run(desired("3"), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    assert [_exists(api, target.image or "") for target in (first, second, third)] == [False, True, True]


async def test_an_image_that_another_runtime_uses_stays(
    harness: BackendHarness,
    registry: Registry,
    runtime_images: dict[str, Image],
    desired: Callable[..., Target],
    api: Any,
) -> None:
    registry.push("plc", "3", another(runtime_images["1"]))
    first = await harness.up(desired("1"))
    other = dataclasses.replace(harness.target("plc2", image=first.spec.image), image=first.image)
    await harness.up(other)

    for version in ("2", "3"):
        await harness.run(desired(version), base.Step.RESOLVE_IMAGE, base.Step.REPLACE_CONTAINER)

    assert _exists(api, first.image or "")
    assert (await harness.backend.observe(other)).running
