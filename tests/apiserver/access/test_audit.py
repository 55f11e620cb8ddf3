"""The audit log of writes: who wrote what, without the body."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAP, CONFIG_MAPS, Clock, issued, session_of, status


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines of the audit log."""
    fields = ("user", "verb", "resource", "object", "code")
    lines = [record for record in caplog.records if record.name == "edge.audit"]
    return [{field: getattr(line, field) for field in fields} for line in lines]


async def test_every_write_is_logged_without_its_body(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    async with session_of(server, "admin") as admin:
        assert await status(admin, "POST", CONFIG_MAPS, CONFIG_MAP) == 201
        assert await status(admin, "GET", CONFIG_MAPS) == 200
        assert await status(admin, "DELETE", f"{CONFIG_MAPS}/one") == 200
        assert await status(admin, "DELETE", f"{CONFIG_MAPS}/one") == 404
    about = {"user": "admin", "resource": "configmaps", "object": "edge/one"}
    assert audited(caplog) == [
        {**about, "verb": "create", "code": 201},
        {**about, "verb": "delete", "code": 200},
        {**about, "verb": "delete", "code": 404},
    ]
    assert "nobody's business" not in caplog.text


async def test_a_rejected_write_is_logged(
    server: ApiServer, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    async with issued(tmp_path, "viewer", 60, clock) as viewer:
        await status(viewer, "DELETE", f"{CONFIG_MAPS}/one")
    (line,) = audited(caplog)
    assert (line["user"], line["code"]) == ("viewer", 403)


async def test_routine_writes_are_logged_at_debug(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "edge.audit")
    event = {"metadata": {"name": "e", "namespace": "edge"}, "involvedObject": {"namespace": "edge"}}
    async with session_of(server, "admin") as admin:
        assert await status(admin, "POST", "/api/v1/namespaces/edge/events", event) == 201
    assert [record.levelname for record in caplog.records if record.name == "edge.audit"] == ["DEBUG"]


async def test_the_impersonator_is_logged_too(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    as_viewer = {"Impersonate-User": "viewer"}
    async with (
        session_of(server, "admin") as admin,
        admin.delete(f"{CONFIG_MAPS}/one", headers=as_viewer) as answer,
    ):
        assert answer.status == 403
    (line,) = [record for record in caplog.records if record.name == "edge.audit"]
    assert (line.__dict__["user"], line.__dict__["impersonator"]) == ("viewer", "admin")
