"""Which Runtime is chosen when several have the same device id."""

from __future__ import annotations

import pytest

from controller import errors, names
from controller.api import kinds
from controller.api.served_namespaces import EVERYWHERE, ServedNamespaces
from controller.cloud.commands.devices import Devices
from tests.support.direct_api import DirectApi


async def add(api: DirectApi, namespace: str, name: str, *, owner: bool = False) -> None:
    metadata = {"namespace": namespace, "name": name}
    spec = {"deviceId": "plc-1", "image": "registry.test/plc"}
    made = await api.create(kinds.RUNTIMES, {"metadata": metadata, "spec": spec})
    if owner:
        claim = {"metadata": {"annotations": {names.CLAIM: made["metadata"]["uid"]}}}
        await api.patch(kinds.RUNTIMES, name, namespace, claim)


@pytest.fixture
def devices(api: DirectApi) -> Devices:
    return Devices(api, "edge", EVERYWHERE)


@pytest.mark.parametrize("owner", ["a", "b"])
async def test_commands_go_to_the_owner_and_a_waiting_runtime_is_ignored(
    api: DirectApi, devices: Devices, owner: str
) -> None:
    for name in ("a", "b"):
        await add(api, "edge", name, owner=name == owner)
    assert (await devices.get("plc-1"))["metadata"]["name"] == owner


async def test_two_runtimes_without_an_owner_are_ambiguous(api: DirectApi, devices: Devices) -> None:
    for name in ("a", "b"):
        await add(api, "edge", name)
    with pytest.raises(errors.CommandError, match="edge/a and edge/b"):
        await devices.get("plc-1")


async def test_owners_in_two_other_namespaces_are_ambiguous(api: DirectApi, devices: Devices) -> None:
    for namespace in ("one", "two"):
        await add(api, namespace, "a", owner=True)
        await add(api, namespace, "b")
    with pytest.raises(errors.CommandError, match="one/a and two/a"):
        await devices.find("plc-1")


async def test_a_runtime_in_a_namespace_that_is_not_served_has_no_device(api: DirectApi) -> None:
    devices = Devices(api, "edge", ServedNamespaces(frozenset(("edge", "line"))))
    await add(api, "line", "served")
    await add(api, "dev", "copied")
    found = await devices.find("plc-1")
    assert found is not None
    assert found["metadata"]["namespace"] == "line"


async def test_only_the_runtimes_of_served_namespaces_are_listed(api: DirectApi) -> None:
    await add(api, "edge", "own")
    await add(api, "dev", "other")
    served = Devices(api, "edge", ServedNamespaces(frozenset(("edge",))))
    assert [runtime["metadata"]["name"] for runtime in await served.list()] == ["own"]
