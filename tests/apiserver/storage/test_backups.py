"""Backups and their uses: a damaged database, an upgrade, another host."""

from __future__ import annotations

import asyncio
import errno
import itertools
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from controller import __version__, errors
from controller.apiserver.server import ApiServer
from controller.apiserver.storage import conversion, copies, database, recovery
from controller.apiserver.storage.backups import DAY, KEPT, Backups
from controller.apiserver.storage.database import DatabaseOptions
from controller.apiserver.storage.rows import Rows
from controller.apiserver.storage.schema import PAGE
from controller.apiserver.storage.store import Key, Store
from controller.cli.main import cli
from controller.disk import Disk
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.endpoint import Endpoint
from controller.state import State
from tests.apiserver.storage.test_store import key, put, thing

FACTS = {"install-id": "plant-7", "node-name": "press"}
Served = Callable[[ApiClient], Awaitable[object]]


async def with_server(directory: Path, work: Served) -> None:
    """Run a server on the directory and call ``work`` with a client of it."""
    server = ApiServer(directory, "127.0.0.1", 0, [], "edge", database_options=DatabaseOptions(FACTS))
    await server.start()
    ours = await asyncio.to_thread(server.credentials, "admin")
    api = ApiClient(Endpoint(server.url, ca_file=ours.ca, client_cert=ours.certificate, client_key=ours.key))
    try:
        await work(api)
    finally:
        await api.close()
        await server.stop()


async def create_lease(api: ApiClient) -> None:
    """Write one object."""
    await api.create(core_kinds.LEASES, {"metadata": {"name": "kept", "namespace": "edge"}})


async def leases(api: ApiClient) -> list[str]:
    """The names of all Leases."""
    return [lease["metadata"]["name"] for lease in await api.list(core_kinds.LEASES)]


def empty_database(path: Path) -> Path:
    """Create an empty database."""
    Rows(path, Disk(path.parent)).close()
    return path


def damage(path: Path) -> None:
    """Overwrite the pages after the first one, like a worn-out SD card."""
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(b"\xff" * 65536)


async def command(directory: Path, *arguments: str) -> str:
    """Run ``edge-controller`` and return its output. Raises its errors.SettingError."""
    return await asyncio.to_thread(invoke, directory, *arguments)


def invoke(directory: Path, *arguments: str) -> str:
    """Like ``command``, without an event loop."""
    done = CliRunner().invoke(cli, [*arguments, "--state-dir", str(directory)], catch_exceptions=True)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


async def test_a_damaged_database_is_replaced_by_the_newest_sound_backup(tmp_path: Path) -> None:
    await with_server(tmp_path, create_lease)
    await command(tmp_path, "backup")
    damage(tmp_path / "api" / "objects.db")

    async def check(api: ApiClient) -> None:
        assert await leases(api) == ["kept"]
        events = [event for event in await api.list(core_kinds.EVENTS) if event["reason"] == "DatabaseRestored"]
        assert "all newer changes are lost" in events[0]["message"]

    await with_server(tmp_path, check)
    assert (tmp_path / "api" / "objects.db.damaged-1").exists()


async def test_without_a_backup_a_damaged_database_is_kept_and_an_empty_one_created(tmp_path: Path) -> None:
    await with_server(tmp_path, create_lease)
    damage(tmp_path / "api" / "objects.db")

    async def check(api: ApiClient) -> None:
        assert await leases(api) == []
        await create_lease(api)

    await with_server(tmp_path, check)
    assert (tmp_path / "api" / "objects.db.damaged-1").exists()


async def test_a_damaged_backup_is_skipped(tmp_path: Path) -> None:
    await with_server(tmp_path, create_lease)
    first, second = [Path((await command(tmp_path, "backup")).strip()) for _ in range(2)]
    damage(second)
    assert await asyncio.to_thread(Backups(tmp_path / "backups", lambda: 0.0).newest_sound) == first


def test_a_backup_is_due_once_a_day_and_the_oldest_are_deleted(tmp_path: Path) -> None:
    source = empty_database(tmp_path / "objects.db")
    now = 0.0
    backups = Backups(tmp_path / "backups", lambda: now)
    for day in range(KEPT + 3):
        now = day * DAY
        assert backups.due_in() <= 0
        backups.take(source)
        assert backups.due_in() == DAY
    assert [backup.number for backup in backups.all()] == list(range(KEPT + 3, 3, -1))


def database_with(path: Path, *names: str, uid: str = "first") -> Path:
    """Write these objects to a database whose default namespace has this uid."""

    async def write() -> None:
        store = Store(path)
        await store.open()
        default = {"metadata": {"name": "default", "uid": uid}}
        await store.write(Key("namespaces", "", "default"), lambda write: write.commit(default))
        for name in names:
            await put(store, name)
        await store.close()

    asyncio.run(write())
    return path


def numbers(backups: Backups) -> list[int]:
    """The numbers of the backups, newest first."""
    return [backup.number for backup in backups.all()]


def test_the_last_two_backups_before_upgrades_outlive_the_daily_ones(tmp_path: Path) -> None:
    source = empty_database(tmp_path / "objects.db")
    backups = Backups(tmp_path / "backups", lambda: 0.0)
    for version in ("1.0", "1.1", "1.2"):
        backups.take(source, f"before-{version}")
    for _ in range(2 * KEPT):
        backups.take(source)
    assert [backup.note for backup in backups.all()] == [*[""] * KEPT, "before-1.2", "before-1.1"]


@pytest.mark.parametrize(
    ("names", "uid"),
    [((), "first"), (("one", "two", "three", "four"), "second")],
    ids=["far fewer objects", "another database"],
)
def test_backups_with_lost_data_are_kept(tmp_path: Path, names: tuple[str, ...], uid: str) -> None:
    backups = Backups(tmp_path / "backups", lambda: 0.0)
    good = database_with(tmp_path / "good.db", "one", "two", "three", "four")
    for _ in range(3):
        backups.take(good)
    later = database_with(tmp_path / "later.db", *names, uid=uid)
    for _ in range(2 * KEPT):
        backups.take(later)
    assert numbers(backups) == [*range(3 + 2 * KEPT, 3 + KEPT, -1), 3, 2, 1]


def test_backups_rotate_again_once_the_database_holds_as_much(tmp_path: Path) -> None:
    backups = Backups(tmp_path / "backups", lambda: 0.0)
    path = database_with(tmp_path / "objects.db", "one")
    for _ in range(3):
        backups.take(path)
    database_with(path, "two", "three", "four", "five")
    for _ in range(KEPT):
        backups.take(path)
    assert numbers(backups) == list(range(3 + KEPT, 3, -1))


@pytest.mark.parametrize("unreadable", [1, 2, 3 + KEPT + 1], ids=["lost data", "lost data", "the newest"])
def test_a_backup_that_cannot_be_read_at_present_costs_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unreadable: int
) -> None:
    backups = Backups(tmp_path / "backups", lambda: 0.0)
    good = database_with(tmp_path / "good.db", "one", "two", "three", "four")
    for _ in range(3):
        backups.take(good)
    later = database_with(tmp_path / "later.db")
    for _ in range(KEPT):
        backups.take(later)
    read = database.summary

    def failing(path: Path) -> database.Summary:
        if path.name.startswith(f"objects-{unreadable:06}"):
            raise io_error()
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(database, "summary", failing)
        backups.take(later)
    assert {1, 2, 3} < set(numbers(backups))
    backups.take(later)
    assert numbers(backups) == [*range(3 + KEPT + 2, 5, -1), 3, 2, 1]


def io_error() -> sqlite3.OperationalError:
    """What SQLite raises when the disk fails to read."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    return error


def test_a_damaged_backup_rotates_with_the_others(tmp_path: Path) -> None:
    backups = Backups(tmp_path / "backups", lambda: 0.0)
    source = empty_database(tmp_path / "objects.db")
    backups.take(source).write_bytes(b"no database" * 1000)
    backups.take(source).write_bytes(b"")
    for _ in range(KEPT):
        backups.take(source)
    assert numbers(backups) == list(range(2 + KEPT, 2, -1))


def test_a_backup_that_was_taken_counts_although_a_surplus_one_cannot_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backups = Backups(tmp_path / "backups", lambda: 0.0)
    source = empty_database(tmp_path / "objects.db")
    for _ in range(KEPT):
        backups.take(source)
    oldest, unlink = backups.all()[-1].path, Path.unlink

    def immutable(path: Path, missing_ok: bool = False) -> None:
        if path == oldest:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", immutable)
        taken = backups.take(source)
    assert backups.all()[0].path == taken
    assert "Cannot delete surplus backups" in caplog.text


def test_a_clock_that_starts_in_1970_does_not_make_the_newest_backup_the_oldest(tmp_path: Path) -> None:
    source = empty_database(tmp_path / "objects.db")
    times = itertools.chain([20_000 * DAY] * KEPT, itertools.repeat(0.0))
    backups = Backups(tmp_path / "backups", lambda: next(times))
    taken = [backups.take(source) for _ in range(KEPT + 1)]
    assert backups.all()[0].path == taken[-1]
    assert not taken[0].exists()


async def test_a_backup_precedes_an_upgrade(tmp_path: Path) -> None:
    await with_server(tmp_path, create_lease)
    path = tmp_path / "api" / "objects.db"
    await asyncio.to_thread(database.keep_facts, path, {recovery.VERSION: "0.0.1"})
    await with_server(tmp_path, leases)
    (backup,) = (tmp_path / "backups").iterdir()
    assert backup.name.endswith(f"-before-{__version__}.db")
    assert (await asyncio.to_thread(database.facts, backup))[recovery.VERSION] == "0.0.1"
    assert (await asyncio.to_thread(database.facts, path))[recovery.VERSION] == __version__


async def test_a_database_of_a_later_format_is_rejected_with_a_remedy(tmp_path: Path) -> None:
    await with_server(tmp_path, create_lease)
    events = {database.FORMAT_FACT: str(database.FORMAT + 1), recovery.VERSION: "99.0"}
    await asyncio.to_thread(database.keep_facts, tmp_path / "api" / "objects.db", events)
    with pytest.raises(errors.SettingError, match=r"version 99\.0.*edge-controller restore --latest"):
        await with_server(tmp_path, leases)


async def test_after_a_downgrade_the_latest_backup_is_one_that_this_version_can_read(tmp_path: Path) -> None:
    await with_server(tmp_path, create_lease)
    path, backups = tmp_path / "api" / "objects.db", Backups(tmp_path / "backups", lambda: 0.0)
    before = await asyncio.to_thread(backups.take, path, "before-99.0")
    await asyncio.to_thread(database.keep_facts, path, {database.FORMAT_FACT: "99", recovery.VERSION: "99.0"})
    daily = await asyncio.to_thread(backups.take, path)
    assert str(before) in await command(tmp_path, "restore", "--latest")
    with pytest.raises(errors.SettingError, match=r"version 99\.0 wrote it"):
        await command(tmp_path, "restore", str(daily))
    await with_server(tmp_path, leases)


async def test_an_upgrade_that_fails_after_its_backup_takes_no_further_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_server(tmp_path, create_lease)
    path, backups = tmp_path / "api" / "objects.db", Backups(tmp_path / "backups", lambda: 0.0)
    await asyncio.to_thread(database.keep_facts, path, {recovery.VERSION: "0.0.1"})

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversion, "convert", fail)
    for _ in range(2):
        with pytest.raises(errors.SettingError, match="free space"):
            await asyncio.to_thread(recovery.prepare, path, backups, __version__)
    assert await asyncio.to_thread(numbers, backups) == [1]


async def test_the_commands_take_and_restore_a_backup(tmp_path: Path) -> None:
    state, file = tmp_path / "state", tmp_path / "usb.db"

    async def work(api: ApiClient) -> None:
        await create_lease(api)
        await command(state, "backup", str(file))
        await api.create(core_kinds.LEASES, {"metadata": {"name": "newer", "namespace": "edge"}})

    async def check(api: ApiClient) -> None:
        assert await leases(api) == ["kept"]

    await with_server(state, work)
    assert file.stat().st_mode & 0o777 == 0o600
    output = await command(state, "restore", str(file))
    assert "objects.db.replaced-1" in output
    await with_server(state, check)


async def test_a_loss_is_reported_once_despite_a_power_cut_before_the_report(tmp_path: Path) -> None:
    await with_server(tmp_path, create_lease)
    await command(tmp_path, "backup")
    path = tmp_path / "api" / "objects.db"
    damage(path)
    backups = Backups(tmp_path / "backups", lambda: 0.0)
    await asyncio.to_thread(recovery.prepare, path, backups, __version__)  # followed by a power cut
    events: list[str] = []

    async def check(api: ApiClient) -> None:
        events.extend(
            event["message"] for event in await api.list(core_kinds.EVENTS) if event["reason"] == "DatabaseRestored"
        )

    for _ in range(2):
        await with_server(tmp_path, check)
    assert len(events) == 2, "the Event of the first start, seen after both starts"
    assert len(set(events)) == 1


async def test_a_restore_on_a_new_host_brings_the_identity_along(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    await with_server(old, create_lease)
    await command(old, "backup", str(tmp_path / "usb.db"))
    await command(new, "restore", str(tmp_path / "usb.db"))
    assert ((new / "install-id").read_text(), (new / "node-name").read_text()) == ("plant-7", "press")


def test_restore_fails_while_the_controller_runs(tmp_path: Path) -> None:
    with State(tmp_path).lock(), pytest.raises(errors.SettingError, match="stop"):
        invoke(tmp_path, "restore", "--latest")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("restore", "--latest"), "no backup to restore"),
        (("restore", "/nowhere.db"), "does not exist"),
        (("backup",), "start the controller once"),
    ],
)
def test_a_failing_command_names_a_remedy(tmp_path: Path, arguments: tuple[str, ...], output: str) -> None:
    with pytest.raises(errors.SettingError, match=output):
        invoke(tmp_path, *arguments)


async def test_a_damaged_file_is_not_restored(tmp_path: Path) -> None:
    await with_server(tmp_path, create_lease)
    file = tmp_path / "usb.db"
    await command(tmp_path, "backup", str(file))
    damage(file)
    with pytest.raises(errors.SettingError, match="damaged"):
        await command(tmp_path, "restore", str(file))
    assert sqlite3.connect(tmp_path / "api" / "objects.db").execute("PRAGMA quick_check").fetchone() == ("ok",)


async def test_an_interrupted_backup_leaves_no_partial_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.db")
    await store.open()
    await store.write(key("one"), lambda write: write.commit(thing("one")))
    await store.close()
    (tmp_path / ".backup.db.partial").write_bytes(b"cut off by a power cut")
    await asyncio.to_thread(copies.copy, tmp_path / "objects.db", tmp_path / "backup.db")
    assert await asyncio.to_thread(database.fault, tmp_path / "backup.db") == ""
    assert not (tmp_path / ".backup.db.partial").exists()
