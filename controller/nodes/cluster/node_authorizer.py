"""Decides whether the caller of a node is the leader: whether it knows the key whose digest is in the EdgeNode.

All unknown keys together cost one read of the EdgeNode per second, whoever sends how many of them. So strangers can
neither load the API nor delay the leader: a known key is found in memory, and a new one after the next read.
"""

from __future__ import annotations

import asyncio
import hmac

from controller import errors, names
from controller.api import kinds
from controller.machinery.client import ApiClient
from controller.nodes.cluster import leader_key

CACHE_SECONDS = 30.0  # after which a known key is looked up again, as another process may lead by then
PAUSE_SECONDS = 1.0  # between the beginnings of two reads


class NodeAuthorizer:
    """Authorizes callers of the node ``name`` with this certificate (PEM)."""

    def __init__(self, api: ApiClient, name: str, certificate: str) -> None:
        self._api = api
        self._name = name
        self._certificate = certificate
        self._known = ""  # the digest in the EdgeNode
        self._known_at = float("-inf")  # in the time of the event loop
        self._failure = ""  # of the last read
        self._begun_at = float("-inf")  # the time of the last read
        self._begun = self._completed = 0  # the number of the last read, and of the last one with an outcome
        self._reading = asyncio.Lock()

    async def is_leader(self, key: str) -> bool:
        """Whether the caller that sends this key is the leader. Raises errors.ApiError if that cannot be read."""
        given, begun = leader_key.digest(key, self._certificate), self._begun
        if self._is_known(given):
            return True
        async with self._reading:
            # All callers that wait share the next read and its failure: each would otherwise wait for the API in turn.
            if self._completed <= begun and not self._is_known(given):
                await self._read()
            if self._failure and not self._is_known(given):
                raise errors.ApiUnavailableError(self._failure)
        return self._is_known(given)

    def _is_known(self, given: str) -> bool:
        is_recent = asyncio.get_running_loop().time() - self._known_at <= CACHE_SECONDS
        return is_recent and hmac.compare_digest(self._known.encode(), given.encode())

    async def _read(self) -> None:
        """Read the digest in the EdgeNode, a pause after the last read."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._begun_at + PAUSE_SECONDS - loop.time())
        self._begun, self._begun_at = self._begun + 1, loop.time()
        try:
            found = await self._api.get(kinds.EDGE_NODES, self._name)
        except errors.ApiError as error:
            self._failure = str(error)
        else:
            self._known = (found["metadata"].get("annotations") or {}).get(names.LEADER_KEY, "")
            self._known_at, self._failure = self._begun_at, ""
        self._completed = self._begun
