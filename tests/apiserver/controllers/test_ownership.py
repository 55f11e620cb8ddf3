"""The index of owners: which objects to check after which change."""

from __future__ import annotations

from typing import Any

from controller.apiserver.controllers.ownership import Ownership
from controller.apiserver.storage.store import Change, Key

OWNER, CHILD = Key("things", "edge", "owner"), Key("things", "edge", "child")


def thing(uid: str, *owners: str) -> dict[str, Any]:
    """An object with these owners."""
    return {"metadata": {"uid": uid, "ownerReferences": [{"uid": owner} for owner in owners] or None}}


def changed(kind: str, key: Key, item: dict[str, Any], before: dict[str, Any] | None = None) -> Change:
    """A change of an object."""
    return Change(1, key, kind, item, before)


def test_a_deleted_owner_touches_its_dependents() -> None:
    index = Ownership()
    index.add(OWNER, thing("1"))
    index.follow(changed("ADDED", CHILD, thing("2", "1")))
    assert index.dependents("1") == [CHILD]
    gone = changed("DELETED", OWNER, thing("1"), thing("1"))
    index.follow(gone)
    assert list(index.touched(gone)) == [CHILD]


def test_a_dependent_touches_its_old_and_new_owners() -> None:
    index, other = Ownership(), Key("things", "edge", "other")
    index.add(OWNER, thing("1"))
    index.add(other, thing("3"))
    index.add(CHILD, thing("2", "1"))
    moved = changed("MODIFIED", CHILD, thing("2", "3"), thing("2", "1"))
    index.follow(moved)
    assert set(index.touched(moved)) == {CHILD, OWNER, other}
    assert (index.dependents("1"), index.dependents("3")) == ([], [CHILD])


def test_an_owner_that_was_never_seen_is_not_touched() -> None:
    index = Ownership()
    change = changed("ADDED", CHILD, thing("2", "unknown"))
    index.follow(change)
    assert list(index.touched(change)) == [CHILD]
    assert index.all_dependents() == {CHILD}
