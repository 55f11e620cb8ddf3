"""What all processes of an installation share: one install id, and whether the agent is retired."""

from __future__ import annotations

import asyncio
from typing import Any

from controller import errors
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.kinds import Kind
from controller.nodes.cluster.installation_config import NAME, InstallationConfig
from tests.support.embedded_api import NAMESPACE
from tests.support.fake_api import FakeApi


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


async def test_it_waits_for_an_unavailable_api(api: ApiClient) -> None:
    class Unavailable(FakeApi):
        """Answers from the second call on."""

        calls = 0

        async def get(self, kind: Kind, name: str, namespace: str = "") -> dict[str, Any]:
            self.calls += 1
            if self.calls == 1:
                raise errors.ApiUnavailableError("the API does not answer")
            return {"data": {"install-id": "07048933"}}

    unavailable = Unavailable()
    assert await InstallationConfig(unavailable, NAMESPACE).install_id(None) == "07048933"
    assert unavailable.calls == 2
    assert NAME not in [found["metadata"]["name"] for found in await api.list(core_kinds.CONFIG_MAPS, NAMESPACE)]
