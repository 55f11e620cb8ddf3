"""Aborted bodies are a client error, whatever exception the HTTP library raises."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import http_exceptions, streams, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from controller.apiserver import failures
from controller.apiserver.http import request_bodies

FAULTS = (
    ConnectionResetError("Connection lost"),
    web.RequestPayloadError("Connection lost"),
    http_exceptions.TransferEncodingError("no size of a chunk"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_an_aborted_body_is_a_bad_request(fault: Exception) -> None:
    loop = asyncio.get_running_loop()
    payload = streams.StreamReader(BaseProtocol(loop), 1 << 16, loop=loop)
    payload.feed_data(b"{")
    payload.set_exception(fault)
    app = web.Application()
    app[request_bodies.DECODERS] = request_bodies.OWN_DECODERS
    headers = {"Content-Type": "application/json", "Content-Length": "9"}
    with pytest.raises(failures.Failure, match="disconnected") as refusal:
        await request_bodies.body(make_mocked_request("POST", "/", headers, payload=payload, app=app))
    assert refusal.value.code == 400
