"""Answers the leader's queries on a node of a cluster, over TLS, for the leader only (node_authorizer.py).

It forwards HTTP requests to this node's own runtimes only, whoever the caller is.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pydantic
from aiohttp import web

from controller import errors
from controller.api import kinds
from controller.machinery.client import ApiClient
from controller.machinery.http_server import HttpServer
from controller.node_api import queries
from controller.node_api.node import HttpRequest, Node
from controller.nodes.cluster import leader_key
from controller.nodes.cluster.node_authorizer import NodeAuthorizer

log = logging.getLogger(__name__)


class NodeServer(HttpServer):
    """The server of the node ``name``. Port 0 means any free port, see ``port``."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext,
        authorizer: NodeAuthorizer,
        node: Node,
        api: ApiClient,
        name: str,
    ) -> None:
        self._authorizer = authorizer
        self._node = node
        self._api = api
        self._name = name
        app = web.Application(middlewares=[self._admit], client_max_size=queries.LIMIT)
        app.add_routes([web.post(queries.PATH + "{query}", self._answer)])
        super().__init__("EDGE_NODE_LISTEN", host, port, app, context)

    @web.middleware
    async def _admit(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Authenticate the caller before reading the body."""
        try:
            is_leader = await self._authorizer.is_leader(request.headers.get(leader_key.HEADER, ""))
        except errors.ApiError as error:
            return _refusal(503, f"cannot authenticate the caller: {error}")
        if not is_leader:
            log.warning("Refused a query from %s, which does not have the leader's key", request.remote)
            return _refusal(401, "not the leader's key: another process leads, or the leader is older than this node")
        self.mark_authenticated(request)
        return await handler(request)

    async def _answer(self, request: web.Request) -> web.Response:
        query = queries.TABLE.get(request.match_info["query"])
        if query is None:
            return _refusal(404, "this version of the controller does not know this query")
        try:
            arguments = dict(query.parameters.model_validate_json(await request.read()))
            await self._check(arguments)
            # Safe, because the table contains nothing but the queries of Node.
            result = await getattr(self._node, query.name)(**arguments)
        except pydantic.ValidationError as error:
            return _refusal(400, f"the query is malformed: {error.errors()[0]['msg']}")
        except errors.ReconcileError as error:
            return _refusal(queries.REFUSED, str(error), error.reason)
        except errors.EdgeError as error:
            return _refusal(queries.REFUSED, str(error))
        return web.Response(body=query.result.dump_json(result), content_type="application/json")

    async def _check(self, arguments: Mapping[str, Any]) -> None:
        """Raise errors.CommandError for a request to an address that is not of a runtime on this node."""
        requests = [value for value in arguments.values() if isinstance(value, HttpRequest)]
        if not requests:
            return
        runtimes = await self._api.list(kinds.RUNTIMES, field_selector=f"spec.nodeName={self._name}")
        own = {(runtime.get("status") or {}).get("internalIP") for runtime in runtimes}
        for request in requests:
            if request.address not in own:
                raise errors.CommandError(f"{request.address} is not the address of a runtime on {self._name}")


def _refusal(status: int, message: str, reason: str = "") -> web.Response:
    response = web.json_response({"error": message, "reason": reason}, status=status)
    # A connection of a stranger would keep its place for an hour.
    response.force_close()
    return response
