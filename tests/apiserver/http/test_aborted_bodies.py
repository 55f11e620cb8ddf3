"""Bodies that break off: the client's fault, whatever the HTTP library calls it, and nothing for the log."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import http_exceptions, streams, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from controller.apiserver import failures
from controller.apiserver.http import codec

FAULTS = (
    ConnectionResetError("Connection lost"),
    web.RequestPayloadError("Connection lost"),
    http_exceptions.TransferEncodingError("no size of a chunk"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_a_body_that_breaks_off_is_refused(fault: Exception) -> None:
    loop = asyncio.get_running_loop()
    payload = streams.StreamReader(BaseProtocol(loop), 1 << 16, loop=loop)
    payload.feed_data(b"{")
    payload.set_exception(fault)
    headers = {"Content-Type": "application/json", "Content-Length": "9"}
    with pytest.raises(failures.Failure, match="disconnected") as refusal:
        await codec.body(make_mocked_request("POST", "/", headers, payload=payload))
    assert refusal.value.code == 400
