"""A full disk of Docker: no running container is stopped, because it could not start again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controller import disk, errors
from controller.api import reasons
from controller.backends import base
from tests.backends.conftest import BackendHarness
from tests.support.dockerd import Engine

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("step", [base.Step.RESTART_CONTAINER, base.Step.REPLACE_CONTAINER])
async def test_a_running_container_is_not_stopped_while_dockers_disk_is_full(
    harness: BackendHarness, api: Any, monkeypatch: pytest.MonkeyPatch, step: base.Step
) -> None:
    target = await harness.up(harness.target())
    name = target.identity.device_id
    before = api.inspect_container(name)
    folder = Path(before["ResolvConfPath"]).parent
    assert folder.is_dir()

    with monkeypatch.context() as full:
        full.setattr(disk, "is_full", lambda asked: asked == folder)
        with pytest.raises(errors.Retry) as refused:
            await harness.run(target, step)

    assert refused.value.reason == reasons.DISK_FULL
    assert str(folder.parent) in str(refused.value)
    assert api.inspect_container(name)["State"] == before["State"]
    await harness.run(target, step)
    assert api.inspect_container(name)["State"]["StartedAt"] != before["State"]["StartedAt"]


async def test_the_data_directory_of_the_engine_is_reported(harness: BackendHarness, engine: Engine) -> None:
    assert (await harness.backend.survey()).engine.root == f"{engine.root}/data"
    assert await harness.backend.root() == f"{engine.root}/data"
