"""Objects that Kubernetes would delete with a Runtime are handed over to its successor first, without a restart."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from controller.api import runtimes
from controller.backends.base import Identity, Target
from controller.backends.pods import manifests, multus
from controller.backends.pods.backend import PodsBackend
from controller.machinery import kinds as core_kinds
from controller.machinery.kinds import Kind
from tests.support.direct_api import DirectApi

LAN = {"name": "lan0", "parentInterface": "eth1", "mode": "Dhcp"}
SPEC = {"deviceId": "plc1", "image": "registry.test/plc", "version": "1", "interfaces": [LAN]}
OWNER = Target(Identity("install", "edge", "plc1"), "a", "uid-a", 1, runtimes.RuntimeSpec.model_validate(SPEC))
SUCCESSOR = dataclasses.replace(OWNER, name="b", uid="uid-b")
(DEFINITION,) = multus.definitions(OWNER)
OBJECTS: list[tuple[Kind, dict[str, Any]]] = [
    (core_kinds.STATEFUL_SETS, manifests.stateful_set(OWNER, "image")),
    (core_kinds.SERVICES, manifests.service(OWNER)),
    (core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, DEFINITION),
]


@pytest.fixture
async def api(direct_api: DirectApi) -> DirectApi:
    for kind, body in OBJECTS:
        await direct_api.create(kind, body)
    return direct_api


@pytest.fixture
def backend(api: DirectApi) -> PodsBackend:
    return PodsBackend(api, "install", "edge")


async def test_the_successor_owns_all_objects_unchanged(api: DirectApi, backend: PodsBackend) -> None:
    assert await backend.owner_uid(OWNER.identity) == "uid-a"
    await backend.hand_over(SUCCESSOR)
    await backend.hand_over(SUCCESSOR)

    assert await backend.owner_uid(OWNER.identity) == "uid-b"
    for kind, body in OBJECTS:
        found = await api.get(kind, body["metadata"]["name"], "edge")
        (owner,) = found["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Runtime", "b", "uid-b")
        assert found["spec"] == body["spec"]
        assert found["metadata"]["labels"] == body["metadata"]["labels"]
    assert ("delete", core_kinds.PODS.plural) not in api.requests
    assert api.requests.count(("delete", core_kinds.NETWORK_ATTACHMENT_DEFINITIONS.plural)) == 1


async def test_foreign_objects_keep_their_owner(api: DirectApi, backend: PodsBackend) -> None:
    name = OBJECTS[0][1]["metadata"]["name"]
    theirs = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}
    await api.patch(core_kinds.STATEFUL_SETS, name, "edge", theirs)
    await backend.hand_over(SUCCESSOR)

    found = await api.get(core_kinds.STATEFUL_SETS, name, "edge")
    assert found["metadata"]["ownerReferences"][0]["uid"] == "uid-a"
    assert await backend.owner_uid(OWNER.identity) == ""
