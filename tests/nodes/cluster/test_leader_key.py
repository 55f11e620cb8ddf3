"""The leader's key: for one certificate of one node only; strangers cost one read a second and delay no leader."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from controller import errors
from controller.api import kinds
from controller.machinery.client import ApiClient, Patch
from controller.machinery.endpoint import Endpoint
from controller.machinery.kinds import Kind
from controller.nodes.cluster.leader_key import LeaderKey
from controller.nodes.cluster.node_authorizer import CACHE_SECONDS, NodeAuthorizer
from tests.support import virtual_time

NODE, OTHER = "node-1", "node-2"
STRANGERS = 300


class Api(ApiClient):
    """Keeps the annotations of EdgeNodes; ``reads`` are the times of reads, each of which takes ``seconds``."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(Endpoint("memory:"))
        self.annotations: dict[str, dict[str, str]] = {NODE: {}, OTHER: {}}
        self.reads: list[float] = []
        self.seconds = seconds
        self.failure: errors.ApiError | None = None

    async def get(self, kind: Kind, name: str, namespace: str = "") -> dict[str, Any]:
        assert kind == kinds.EDGE_NODES
        self.reads.append(asyncio.get_running_loop().time())
        metadata = {"name": name, "annotations": dict(self.annotations[name])}
        await asyncio.sleep(self.seconds)
        if self.failure:
            raise self.failure
        return {"metadata": metadata}

    async def patch(
        self, kind: Kind, name: str, namespace: str, patch: Patch, *, subresource: str = ""
    ) -> dict[str, Any]:
        assert (kind, subresource) == (kinds.EDGE_NODES, "")
        assert isinstance(patch, dict)
        self.annotations[name] |= patch["metadata"]["annotations"]
        return {}


def in_virtual_time(test: Callable[[Api], Awaitable[None]]) -> Callable[[], None]:
    """A test that runs in virtual time, with an API."""

    async def main() -> None:
        await test(Api())

    def run() -> None:
        virtual_time.run(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_virtual_time
async def test_a_node_recognizes_the_leader_by_the_published_key(api: Api) -> None:
    key = await LeaderKey(api, NODE, "certificate").published()
    assert await NodeAuthorizer(api, NODE, "certificate").is_leader(key)
    assert key not in str(api.annotations)


@in_virtual_time
async def test_the_key_for_one_node_is_worthless_at_another(api: Api) -> None:
    key = await LeaderKey(api, NODE, "certificate").published()
    await LeaderKey(api, OTHER, "other certificate").published()
    assert not await NodeAuthorizer(api, OTHER, "other certificate").is_leader(key)


@in_virtual_time
async def test_a_node_that_poses_as_another_gets_no_key_for_it(api: Api) -> None:
    # It published its own address and certificate in the status of the other node, so the leader sends it this key.
    key = await LeaderKey(api, NODE, "certificate of the impostor").published()
    assert not await NodeAuthorizer(api, NODE, "certificate").is_leader(key)


@pytest.mark.parametrize("key", ["", "made up", "\udcff\ud800"], ids=ascii)
def test_a_caller_without_the_key_is_not_the_leader(key: str) -> None:
    @in_virtual_time
    async def run(api: Api) -> None:
        authorizer = NodeAuthorizer(api, NODE, "certificate")
        assert not await authorizer.is_leader(key)  # before a leader has published a key
        await LeaderKey(api, NODE, "certificate").published()
        assert not await authorizer.is_leader(key)

    run()


@in_virtual_time
async def test_a_known_key_is_looked_up_again_after_a_while(api: Api) -> None:
    authorizer = NodeAuthorizer(api, NODE, "certificate")
    key = await LeaderKey(api, NODE, "certificate").published()
    for _ in range(100):
        assert await authorizer.is_leader(key)
    assert len(api.reads) == 1
    await LeaderKey(api, NODE, "certificate").published()  # another process leads
    await asyncio.sleep(CACHE_SECONDS + 1)
    assert not await authorizer.is_leader(key)


@in_virtual_time
async def test_a_key_that_the_edge_node_has_lost_is_published_again(api: Api) -> None:
    authorizer, leader = NodeAuthorizer(api, NODE, "certificate"), LeaderKey(api, NODE, "certificate")
    await leader.published()
    api.annotations[NODE].clear()
    assert not await authorizer.is_leader(await leader.published())
    leader.publish_again()
    assert await authorizer.is_leader(await leader.published())


@in_virtual_time
async def test_strangers_cost_one_read_a_second_and_do_not_delay_the_leader(api: Api) -> None:
    api.seconds = 0.5
    authorizer, loop = NodeAuthorizer(api, NODE, "certificate"), asyncio.get_running_loop()
    known = await LeaderKey(api, NODE, "certificate").published()
    assert await authorizer.is_leader(known)

    async def stranger(number: int) -> None:
        for attempt in range(20):
            assert not await authorizer.is_leader(f"{number}-{attempt}")

    strangers = asyncio.gather(*map(stranger, range(STRANGERS)))
    await asyncio.sleep(3)
    begun = loop.time()
    assert await authorizer.is_leader(known)
    assert loop.time() == begun
    key = await LeaderKey(api, NODE, "certificate").published()  # another process leads
    assert await authorizer.is_leader(key)
    assert loop.time() - begun <= 2  # the read that was running when it published, and the next one
    await strangers
    assert all(later - earlier >= 1 for earlier, later in pairwise(api.reads))
    assert len(api.reads) <= 1 + 2 * 20


@in_virtual_time
async def test_while_the_api_does_not_answer_only_a_known_key_is_accepted(api: Api) -> None:
    authorizer, loop = NodeAuthorizer(api, NODE, "certificate"), asyncio.get_running_loop()
    key = await LeaderKey(api, NODE, "certificate").published()
    assert await authorizer.is_leader(key)
    api.seconds, api.failure = 30.0, errors.ApiUnavailableError("no answer")
    begun = loop.time()
    found = await asyncio.gather(*(authorizer.is_leader(f"{each}") for each in range(9)), return_exceptions=True)
    assert [str(each) for each in found] == ["no answer"] * 9
    assert loop.time() - begun <= 31  # they share one read
    with pytest.raises(errors.ApiUnavailableError, match="no answer"):
        await authorizer.is_leader(key)
    api.failure = None
    assert await authorizer.is_leader(key)
