"""What all processes of an installation share: one install id, and whether the agent is retired."""

from __future__ import annotations

import asyncio

from controller import errors
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.kinds import Kind
from controller.nodes.cluster.installation_config import NAME, InstallationConfig
from tests.support.direct_api import DirectApi, no_fault
from tests.support.embedded_api import NAMESPACE


async def test_the_first_process_sets_the_install_id_for_all(api: ApiClient) -> None:
    assert await InstallationConfig(api, NAMESPACE).install_id("07048933") == "07048933"
    assert await InstallationConfig(api, NAMESPACE).install_id("another") == "07048933"
    assert await InstallationConfig(api, NAMESPACE).install_id(None) == "07048933"


async def test_concurrent_processes_agree_on_the_install_id(api: ApiClient) -> None:
    found = await asyncio.gather(
        *(InstallationConfig(api, NAMESPACE).install_id(f"id-{number}") for number in range(8))
    )
    assert len(set(found)) == 1


async def test_without_a_preference_an_id_is_generated_and_kept(api: ApiClient) -> None:
    made = await InstallationConfig(api, NAMESPACE).install_id(None)
    assert len(made) == 8
    assert await InstallationConfig(api, NAMESPACE).install_id(None) == made


async def test_a_retirement_is_visible_to_all_until_it_is_reset(api: ApiClient) -> None:
    one, other = InstallationConfig(api, NAMESPACE), InstallationConfig(api, NAMESPACE)
    await one.install_id("07048933")
    assert not await other.retired()
    await one.retire()
    assert await other.retired()
    assert await other.reset()
    assert not await one.retired()
    assert not await one.reset()
    assert await other.install_id(None) == "07048933"


async def test_it_waits_for_an_unavailable_api(direct_api: DirectApi) -> None:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    await direct_api.create(core_kinds.CONFIG_MAPS, {"metadata": metadata, "data": {"install-id": "07048933"}})
    before = list(direct_api.requests)

    def away(_verb: str, _kind: Kind) -> None:
        direct_api.fault = no_fault
        raise errors.ApiUnavailableError("the API does not answer")

    direct_api.fault = away
    assert await InstallationConfig(direct_api, NAMESPACE).install_id(None) == "07048933"
    assert direct_api.requests[len(before) :] == [("get", core_kinds.CONFIG_MAPS.plural)] * 2
