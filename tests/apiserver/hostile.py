"""Helpers to send hostile requests."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import aiohttp

from controller.apiserver.server import ApiServer

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
SELF_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
YAML, JSON = "application/yaml", "application/json"


async def send(
    http: aiohttp.ClientSession, path: str, body: Any, kind: str = JSON, method: str = "POST", **headers: str
) -> int:
    """Send a request and return the status code."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with http.request(method, path, data=data, headers=given) as answer:
        await answer.read()
        return answer.status


async def exchange(server: ApiServer, head: bytes) -> int:
    """Send a raw request head and return the status code."""
    host, port = server.url.removeprefix("https://").split(":")
    reader, writer = await asyncio.open_connection(host, port, ssl=insecure())
    try:
        writer.write(head + b"Connection: close\r\n\r\n")
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()


def insecure() -> ssl.SSLContext:
    """A TLS context without certificate verification."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
