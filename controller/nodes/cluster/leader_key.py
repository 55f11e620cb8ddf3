"""The key that authenticates the leader to one node: random, in the leader's memory only, useless at other nodes.

The leader publishes a digest of the key and of the node's certificate in the EdgeNode, whose metadata only the leader
may change, and sends the key with each query (decision 112). A node that knows its own key cannot use it elsewhere,
not even if it publishes its own address and certificate as those of another node.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets

from controller import names
from controller.api import kinds
from controller.machinery.client import ApiClient

HEADER = "Edge-Leader-Key"


def digest(key: str, certificate: str) -> str:
    """What the EdgeNode shows of the key for the node with this certificate (PEM). Reveals neither."""
    # Text of others may contain surrogates, which cannot be encoded otherwise.
    secret, message = (text.encode(errors="surrogatepass") for text in (key, certificate))
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


class LeaderKey:
    """The leader's key for the node ``name`` with this certificate."""

    def __init__(self, api: ApiClient, name: str, certificate: str) -> None:
        self._api = api
        self._name = name
        self._key = secrets.token_hex(32)
        self._digest = digest(self._key, certificate)
        self._is_published = False
        self._publishing = asyncio.Lock()

    async def published(self) -> str:
        """The key, whose digest is in the EdgeNode. Raises errors.ApiError."""
        async with self._publishing:
            if not self._is_published:
                annotations = {"annotations": {names.LEADER_KEY: self._digest}}
                await self._api.patch(kinds.EDGE_NODES, self._name, "", {"metadata": annotations})
                self._is_published = True
        return self._key

    def publish_again(self) -> None:
        """Publish before the next use: the node does not know the key, so the EdgeNode has lost it."""
        self._is_published = False
