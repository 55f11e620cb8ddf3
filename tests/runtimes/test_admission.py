"""Admission decides whether a Runtime is reconciled at all, before anything observes its container."""

from __future__ import annotations

from typing import Any

import pytest

from controller import errors
from controller.api import reasons
from controller.runtimes.admission import Admission, Admitted, Outage, Refused
from controller.runtimes.keys import KeyIndex
from controller.runtimes.owners import Owners
from controller.runtimes.result import NO_FINALIZER, NOT_OURS
from controller.runtimes.scope import Scope
from controller.runtimes.turns import Turns
from tests.runtimes.harness import KEY, Harness


def admission(harness: Harness, *, claims: bool = True) -> Admission:
    scope = Scope("Docker", "node-1", claims=claims)
    owners = Owners(harness.api, harness.backend, "install", KeyIndex(), scope, Turns(1))
    return Admission(harness.api, owners, scope, "node-1")


def without_finalizer(body: dict[str, Any]) -> None:
    body["metadata"]["finalizers"] = []


async def test_its_owner_is_admitted_with_node_and_backend(harness: Harness) -> None:
    await harness.create(nodeName=None)
    admitted = await admission(harness).admit(KEY, lambda _: None)
    assert isinstance(admitted, Admitted)
    assert (admitted.runtime.spec.node_name, admitted.runtime.spec.backend) == ("node-1", "Docker")
    assert (admitted.deleting, admitted.rival) == (False, "")


async def test_a_runtime_of_another_node_is_refused_by_the_only_node(harness: Harness) -> None:
    await harness.create(nodeName="node-2")
    refused = await admission(harness).admit(KEY, lambda _: None)
    assert isinstance(refused, Refused)
    assert (refused.outcome.kind, refused.outcome.reason) == ("stalled", reasons.SPEC_IMPOSSIBLE)
    assert not refused.disowned
    assert await admission(harness, claims=False).admit(KEY, lambda _: None) == NOT_OURS


async def test_nothing_is_done_before_the_finalizer_is_there(harness: Harness) -> None:
    await harness.create()
    await harness.edit(without_finalizer)
    assert await admission(harness).admit(KEY, lambda _: None) == NO_FINALIZER


async def test_an_unreadable_spec_is_refused(harness: Harness) -> None:
    await harness.create()
    await harness.edit(lambda body: body["spec"].update(desiredState="Hibernating"))
    refused = await admission(harness).admit(KEY, lambda _: None)
    assert isinstance(refused, Refused)
    assert "spec.desiredState" in refused.outcome.message


async def test_a_deleted_runtime_is_admitted_even_if_its_spec_is_unreadable(harness: Harness) -> None:
    await harness.create()
    await harness.edit(lambda body: body["spec"].update(desiredState="Hibernating"))
    await harness.delete()
    admitted = await admission(harness).admit(KEY, lambda _: None)
    assert isinstance(admitted, Admitted)
    assert admitted.deleting


async def test_an_outage_of_the_api_is_no_decision(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = errors.ApiUnavailableError("no answer")

    async def fail(*_: object) -> dict[str, Any]:
        raise outage

    monkeypatch.setattr(harness.api, "get", fail)
    assert await admission(harness).admit(KEY, lambda _: None) == Outage(outage)


async def test_a_missing_runtime_is_not_found(harness: Harness) -> None:
    with pytest.raises(errors.NotFoundError):
        await admission(harness).admit(KEY, lambda _: None)
