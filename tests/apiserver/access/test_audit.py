"""What the log says of writes: who wrote what, and nothing of its body."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from controller.apiserver.server import ApiServer
from tests.apiserver.conftest import CONFIG_MAP, CONFIG_MAPS, Clock, acting, handed_out, status


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines of the log of writes."""
    fields = ("user", "verb", "resource", "object", "code")
    lines = [record for record in caplog.records if record.name == "edge.audit"]
    return [{field: getattr(line, field) for field in fields} for line in lines]


async def test_every_write_leaves_a_line_and_no_line_has_a_body(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    async with acting(server, tmp_path, "admin") as admin:
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


async def test_a_refused_write_leaves_a_line(
    server: ApiServer, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    async with handed_out(tmp_path, "viewer", 60, clock) as viewer:
        await status(viewer, "DELETE", f"{CONFIG_MAPS}/one")
    (line,) = audited(caplog)
    assert (line["user"], line["code"]) == ("viewer", 403)


async def test_what_a_box_writes_all_day_is_told_to_who_debugs(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "edge.audit")
    event = {"metadata": {"name": "e", "namespace": "edge"}, "involvedObject": {"namespace": "edge"}}
    async with acting(server, tmp_path, "admin") as admin:
        assert await status(admin, "POST", "/api/v1/namespaces/edge/events", event) == 201
    assert [record.levelname for record in caplog.records if record.name == "edge.audit"] == ["DEBUG"]


async def test_who_acts_as_another_is_named_too(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.audit")
    as_viewer = {"Impersonate-User": "viewer"}
    async with (
        acting(server, tmp_path, "admin") as admin,
        admin.delete(f"{CONFIG_MAPS}/one", headers=as_viewer) as answer,
    ):
        assert answer.status == 403
    (line,) = [record for record in caplog.records if record.name == "edge.audit"]
    assert (line.__dict__["user"], line.__dict__["impersonator"]) == ("viewer", "admin")
