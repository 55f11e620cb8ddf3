"""Server-side apply of any configuration to any object: merged or refused, and settled after the first time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from controller.apiserver.kinds.resources import of_definition
from controller.apiserver.objects import admission, apply, managers
from controller.apiserver.objects.managers import Manager
from controller.apiserver.objects.request_options import WriteOptions
from tests.apiserver.bodies import mutated, unless_refused
from tests.conformance.conftest import DEFINITION, widget

WIDGETS = of_definition(DEFINITION)[0]
SCHEMA = WIDGETS.structural_schema
ALICE, BOB = Manager("alice", managers.APPLY, "v1"), Manager("bob", managers.APPLY, "v1")
PARTS = [{"name": "a", "weight": 1}, {"name": "b"}]
FULL = {**widget("one", color="Red", parts=PARTS), "status": {"phase": "a"}}
OWNER = {"apiVersion": "v1", "kind": "Secret", "name": "one", "uid": "1"}
FULL["metadata"] |= {
    "labels": {"a": "b"}, "finalizers": ["a/b"], "ownerReferences": [OWNER],
    "managedFields": [{"manager": "alice", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {
        "f:spec": {"f:color": {}, "f:parts": {'k:{"name":"a"}': {".": {}, "f:weight": {}}}},
        "f:metadata": {"f:labels": {"f:a": {}}},
    }}],
}  # fmt: skip


def admitted(body: Any) -> dict[str, Any] | None:
    """The body as an object, None if it is refused."""
    return unless_refused(lambda: admission.admit(WIDGETS, admission.decode(WIDGETS, body, WriteOptions())[0], None))


def applied(live: dict[str, Any], config: dict[str, Any], manager: Manager) -> dict[str, Any]:
    """The object after a forced apply."""
    config = {**config, "metadata": {k: v for k, v in config["metadata"].items() if k != "managedFields"}}
    made, owned = apply.apply(live, config, manager, SCHEMA, "now", force=True)
    return {**made, "metadata": {**made["metadata"], "managedFields": managers.write(owned)}}


@given(live=mutated(FULL), config=mutated(FULL))
def test_an_apply_changes_nothing_the_second_time(live: Any, config: Any) -> None:
    item, wanted = admitted(live), admitted(config)
    if item is None or wanted is None:
        return
    once = applied(item, wanted, BOB)
    assert applied(once, wanted, BOB) == once


@given(config=mutated(FULL))
def test_what_only_one_manager_applied_goes_with_its_configuration(config: Any) -> None:
    wanted = admitted(config)
    if wanted is None:
        return
    made = applied({}, wanted, ALICE)
    left = applied(made, {"metadata": {"name": "one"}}, ALICE)
    assert not left.get("spec")
    assert not left["metadata"].get("labels")


def test_a_manager_takes_over_only_what_it_forces() -> None:
    live = applied({}, FULL, ALICE)
    config = {"metadata": {"name": "one"}, "spec": {"color": "Blue", "parts": [{"name": "a", "weight": 1}]}}
    with pytest.raises(apply.Conflicts) as conflicts:
        apply.apply(live, config, BOB, SCHEMA, "now", force=False)
    assert conflicts.value.fields == {ALICE: [("f:spec", "f:color")]}
    assert apply.message(conflicts.value).startswith("Apply failed with 1 conflict: conflict with")
    shared = applied(live, config, BOB)
    assert shared["spec"]["color"] == "Blue"
    fields = {entry["manager"]: entry["fieldsV1"]["f:spec"] for entry in shared["metadata"]["managedFields"]}
    assert ("f:color" in fields["alice"], "f:color" in fields["bob"]) == (False, True)
    part = fields["alice"]["f:parts"]['k:{"name":"a"}']
    assert part == fields["bob"]["f:parts"]['k:{"name":"a"}']
