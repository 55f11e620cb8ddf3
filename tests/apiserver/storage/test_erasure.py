"""Responses of runtimes stored by 0.1 are erased from objects, history, free pages and backups."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from controller.api import crds
from controller.apiserver.server import ApiServer
from controller.apiserver.storage import database, erasure
from controller.apiserver.storage.backups import Backups
from controller.apiserver.storage.rows import Key, Row, Rows
from controller.disk import Disk

SECRET = "hunter2-7f3a"
RESOURCE = "runtimecommands.getedge.me"


def command(name: str, answer: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"outcome": "Succeeded", "answer": answer}}


def stored_answer() -> str:
    """The response of a runtime as stored by 0.1."""
    response = {"status_code": 401, "headers": {"Set-Cookie": SECRET}, "body": SECRET * 2000}
    return json.dumps({"status": "error", "error": 'it\'s "so"', "http_response": response})


def database_of_0_1(path: Path) -> None:
    """Write commands with answers: some current, some deleted, some compacted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = Rows(path, Disk(path.parent))
    answers = [stored_answer()] * 20 + ['{"status": "success"}', "no JSON", "[]", ""]
    for number, answer in enumerate(answers, 1):
        name = f"c{number}"
        text = json.dumps(command(name, answer))
        rows.insert([Row(number, Key(RESOURCE, "edge", name), deleted=False, text=text)])
    for number in range(1, 11):
        key = Key(RESOURCE, "edge", f"c{number}")
        rows.insert([Row(100 + number, key, deleted=True, text=json.dumps(command(f"c{number}", stored_answer())))])
    rows.compact(105)
    rows.close()


def statuses(path: Path) -> dict[str, dict[str, Any]]:
    with database.connected(path) as connection:
        found = connection.execute("SELECT name, object FROM revisions WHERE NOT deleted").fetchall()
    return {name: json.loads(text)["status"] for name, text in found}


def leaks(folder: Path) -> list[str]:
    """The files that contain the secret."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_responses_are_erased_and_their_outcome_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    database_of_0_1(path)
    assert leaks(tmp_path)
    erasure.erase(path)
    assert leaks(tmp_path) == []
    assert database.fault(path) == ""
    found = statuses(path)
    assert found["c20"]["statusCode"] == 401
    assert json.loads(found["c20"]["answer"]) == {"status": "error", "error": 'it\'s "so"'}
    assert [found[f"c{number}"]["answer"] for number in range(21, 25)] == ['{"status": "success"}', "no JSON", "[]", ""]


def test_the_erasure_runs_once(tmp_path: Path) -> None:
    path = tmp_path / "objects.db"
    database_of_0_1(path)
    erasure.erase(path)
    before = path.read_bytes()
    erasure.erase(path)
    assert path.read_bytes() == before


def test_a_file_without_tables_is_left_alone(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "objects.db"
    path.touch()
    erasure.erase(path)
    assert caplog.text == ""
    assert path.read_bytes() == b""


def test_a_failure_does_not_abort_the_start_and_is_retried(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    path = tmp_path / "objects.db"
    database_of_0_1(path)

    def full(path: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "_erase", full)
        erasure.erase(path)
    assert "Cannot erase" in caplog.text
    erasure.erase(path)
    assert leaks(tmp_path) == []


async def start_and_stop(state: Path) -> None:
    server = ApiServer(state, "127.0.0.1", 0, crds.manifests(), "edge")
    await server.start()
    await server.maintain()
    await server.stop()


def test_a_database_of_this_version_has_nothing_to_erase(tmp_path: Path, monkeypatch: Any, caplog: Any) -> None:
    asyncio.run(start_and_stop(tmp_path))

    def full(path: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(erasure, "_erase", full)
    asyncio.run(start_and_stop(tmp_path))
    assert "Cannot erase" not in caplog.text


def test_a_starting_server_erases_responses_from_backups_too(tmp_path: Path) -> None:
    path, folder = tmp_path / "api/objects.db", tmp_path / "backups"
    database_of_0_1(path)
    backup = Backups(folder, time.time).take(path)
    asyncio.run(start_and_stop(tmp_path))
    assert leaks(tmp_path) == []
    assert database.fault(backup) == ""
    assert statuses(backup)["c20"]["statusCode"] == 401
    with database.connected(backup) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (database.BACKUP_MARK,)
