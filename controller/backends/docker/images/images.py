"""Resolves images to pins, pulls them with progress, and removes superseded ones.

Only images that we pulled for a runtime are ever removed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from controller import errors, names
from controller.api import reasons
from controller.backends.base import Progress, Target
from controller.backends.docker.containers.inventory import Containers
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.client import Engine, url
from controller.backends.docker.engine.lane import LIMITS, EngineLimits
from controller.backends.docker.engine.streams import Stream, json_lines
from controller.backends.docker.images import pins
from controller.backends.docker.images.pulling import Download, credentials_for, readable_name, repository_of

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 1.0


class Images:
    """``clock`` is a monotonic clock in seconds."""

    def __init__(
        self,
        engine: Engine,
        containers: Containers,
        limits: EngineLimits = LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._silence = limits.pull_seconds
        self._turns = asyncio.Semaphore(limits.pulls)
        self._containers = containers
        self._clock = clock
        # Lost at a restart, which errs on the safe side: an image without a record of our pull is never removed.
        self._pulled: set[str] = set()

    def was_pulled(self, pin: str) -> bool:
        """Whether this process pulled the image."""
        return pin in self._pulled

    async def resolve(self, target: Target, progress: Progress) -> Target:
        """Make sure that the image is on the host, and return the target with its pin. Keeps a given pin.

        Raises errors.Stalled(IMAGE_NOT_FOUND, IMAGE_REFUSED), errors.Retry(IMAGE_PULL_FAILED, DISK_FULL).
        """
        reference, policy = target.image or target.spec.image_reference, target.spec.image_pull_policy
        # A pin is not refreshed: a tag that moved changes no runtime unless its spec changes.
        refresh = policy == "Always" and target.image is None
        found = None if refresh else await self._inspect(reference)
        if found is not None:
            return dataclasses.replace(target, image=target.image or await self._pin(found, target))
        self._require_pullable(reference, target)
        await self._pull(reference, target, progress)
        found = await self._inspect(reference)
        if found is None:
            raise errors.Retry(reasons.IMAGE_PULL_FAILED, f"{reference} was pulled but is missing; retrying")
        pin = target.image or await self._pin(found, target, pulled=True)
        self._pulled.add(pin)
        return dataclasses.replace(target, image=pin)

    async def provide(self, target: Target, progress: Progress) -> Target:
        """The target with an image, resolved if it has none: somebody may have removed it since it was resolved."""
        return target if target.image else await self.resolve(target, progress)

    async def readable_name(self, pin: str, source: str) -> str:
        """A name of the pinned image for `docker ps`, see pulling. Raises Refusal like ``resolves_to``."""
        name = readable_name(pin, source)
        return name if await self.resolves_to(name, pin) else pin

    async def resolves_to(self, name: str, pin: str) -> bool:
        """Whether the name currently resolves to the pinned image. Raises Refusal when the engine lacks the pin."""
        if name == pin:
            return True
        found = await self._inspect(name, (400, 404))  # 400: an old engine cannot parse name:tag@digest
        if found is not None and pin in (found["Id"], *(found.get("RepoDigests") or ())):
            return True
        # The image may have lost this digest, or never had it, and still be the pinned one.
        pinned = await self._engine.call(lambda client: _inspect(client, pin))
        return found is not None and found["Id"] == pinned["Id"]

    async def remove_superseded(self, target: Target, pin: str) -> None:
        """Remove an image that was pulled for the runtime, unless a container of ours still uses or records it."""
        # An id is of an image that came from no registry: once removed, nobody could pull it again.
        if "@" not in pin:
            return
        in_use = await self._containers.of_install(target.identity.install_id)
        remembered = {entry["Labels"].get(label) for _, entry in in_use for label in _IMAGE_LABELS}
        if pin in remembered:
            return
        try:
            await self._engine.change(lambda client: client.remove_image(pin))
            log.info("Removed the superseded image %s", pin, extra={"runtime": target.name})
        except failures.Refusal as refusal:
            # It is gone already, or a container that is not ours uses it.
            log.debug("Kept image %s: %s", pin, refusal)

    async def _pin(self, found: dict[str, Any], target: Target, *, pulled: bool = False) -> str:
        return pins.pin(found, target.spec.image, await self._engine.capabilities(), pulled=pulled)

    def _require_pullable(self, reference: str, target: Target) -> None:
        if target.spec.image_pull_policy == "Never":
            message = f"{reference} is not on the host and spec.imagePullPolicy is Never: load it or allow the pull"
            raise errors.Stalled(reasons.IMAGE_NOT_FOUND, message)
        if reference.startswith("sha256:"):
            name = f"{target.spec.image_reference} ({reference[:19]})"
            message = f"The image {name} was removed and came from no registry: load it again"
            raise errors.Stalled(reasons.IMAGE_NOT_FOUND, message)

    async def _inspect(self, reference: str, absent: tuple[int, ...] = (404,)) -> dict[str, Any] | None:
        return await self._engine.find(lambda client: _inspect(client, reference), absent)

    async def _pull(self, reference: str, target: Target, progress: Progress) -> None:
        if self._turns.locked():
            await progress(reasons.IMAGE_PULLING, f"Waiting to pull {reference}: other images are pulled first")
        async with self._turns:
            await self._pull_now(reference, target, progress)
        log.info("Pulled %s", reference, extra={"runtime": target.name})

    async def _pull_now(self, reference: str, target: Target, progress: Progress) -> None:
        download, reported_at = Download(reference), -_PROGRESS_SECONDS
        await progress(reasons.IMAGE_PULLING, download.describe())
        try:
            async with aclosing(json_lines(await self._open(reference, target))) as lines:
                async for line in lines:
                    download.take(line)
                    if self._clock() - reported_at >= _PROGRESS_SECONDS:
                        reported_at = self._clock()
                        await progress(reasons.IMAGE_PULLING, download.describe())
        except failures.Refusal as refusal:
            raise failures.outcome(refusal, pulling=reference) from refusal
        except errors.Waiting as waiting:
            # DAEMON_SLOW means that the engine answered a ping, so it is the registry that is silent.
            if waiting.reason != reasons.DAEMON_SLOW:
                raise
            message = f"The registry sent nothing for {reference} in {self._silence:.0f} s; retrying the pull"
            raise errors.Retry(reasons.IMAGE_PULL_FAILED, message) from waiting

    async def _open(self, reference: str, target: Target) -> Stream:
        name, tag = repository_of(reference)
        credentials = credentials_for(name, target.pull_credentials)

        # Not the SDK's pull: without credentials of ours it would send those of the host's Docker configuration.
        def open_stream(client: APIClient) -> Response:
            import docker.auth  # noqa: PLC0415 - part of the SDK, imported on first use

            headers = {"X-Registry-Auth": docker.auth.encode_header(credentials)} if credentials else {}
            return client.post(
                url(client, "/images/create"),
                params={"fromImage": name, "tag": tag},
                headers=headers,
                stream=True,
                timeout=(5.0, self._silence),
            )

        return await self._engine.pull(open_stream)


_IMAGE_LABELS = (names.IMAGE_LABEL, names.PREVIOUS_IMAGE_LABEL)


def _inspect(client: Any, reference: str) -> dict[str, Any]:
    return client.inspect_image(reference)  # type: ignore[no-any-return]
