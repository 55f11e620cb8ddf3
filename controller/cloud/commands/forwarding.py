"""``run_command``: one HTTP request to the runtime's internal address, and to no other host.

A request that only reads needs neither the queue nor the journal. The method is not enough to tell: OpenPLC's runtime
starts and stops PLCs by GET. So its path must equal a configured one exactly, both as received and as it will be sent.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from http import HTTPStatus

from yarl import URL

from controller.api.runtime_status import docker_state
from controller.cloud.answers import Answer, error
from controller.cloud.commands.call import Call
from controller.cloud.commands.devices import Devices, RuntimeObject
from controller.cloud.contracts.commands import RunCommand
from controller.errors import CommandError
from controller.node_api.node import File, HttpRequest, HttpResponse, Node, NodeDirectory, Scheme


class Forwarding:
    """Forwards requests through the node that runs the device; ``seconds`` is the timeout of a read."""

    def __init__(self, devices: Devices, nodes: NodeDirectory, reads: Reads, seconds: float) -> None:
        self._devices = devices
        self._nodes = nodes
        self._reads = reads
        self._seconds = seconds

    def is_read(self, message: RunCommand) -> bool:
        """Whether the request is configured as read-only."""
        return message in self._reads

    async def read(self, message: RunCommand) -> Answer:
        """Forward a read at once, without recording it, and return the runtime's answer."""
        node, request = await self._prepare(message, repeatable=True)
        return _answer(await node.request(request, self._seconds))

    async def run(self, message: RunCommand, call: Call) -> Answer:
        """Forward a request and return the runtime's answer; an HTTP status of 400 or more counts as an error."""
        node, request = await self._prepare(message)
        await call.begin()
        # The wait for earlier commands has no deadline of its own, so the time may be up by now.
        if call.slot.seconds_left <= 0:
            raise CommandError("not sent: earlier commands for the device used up the time limit, send it again")
        return _answer(await node.request(request, call.slot.seconds_left))

    async def _prepare(self, message: RunCommand, *, repeatable: bool = False) -> tuple[Node, HttpRequest]:
        runtime = await self._devices.get(message.device_id)
        request = _request(message, runtime, repeatable=repeatable)
        return await self._nodes.node_of(runtime), request


def _request(message: RunCommand, runtime: RuntimeObject, *, repeatable: bool) -> HttpRequest:
    control = runtime["spec"].get("controlPort") or {}
    control_port = control.get("port", CONTROL_PORT)
    port = message.port or control_port
    other: Scheme = "https" if port == CONTROL_PORT else "http"
    return HttpRequest(
        address=_address(runtime),
        port=port,
        scheme=control.get("scheme", "https") if port == control_port else other,
        method=message.method,
        path=message.api,
        params=message.params,
        headers=message.headers,
        data=message.data,
        files={
            field: File(file.filename, file.content_base64, file.content_type) for field, file in message.files.items()
        },
        repeatable=repeatable,
    )


def _address(runtime: RuntimeObject) -> str:
    status = runtime.get("status") or {}
    device_id, state = runtime["spec"]["deviceId"], docker_state(status) or "not created yet"
    if state != "running":
        raise CommandError(f"{device_id} is not running (it is {state}): start it first")
    try:
        # Parsed, so that an edited status cannot lead the request to a host name.
        return str(ipaddress.IPv4Address(status.get("internalIP") or ""))
    except ValueError:
        raise CommandError(f"{device_id} has no internal address yet: try again in a moment") from None


def _answer(response: HttpResponse) -> Answer:
    succeeded = response.status_code < 400
    outcome: Answer = {"status": "success"}
    if not succeeded:
        outcome = error(f"the runtime answered {response.status_code} {_phrase(response.status_code)}".strip())
    details: Answer = {
        "status_code": response.status_code,
        "headers": response.headers,
        "body": response.body,
        "ok": succeeded,
        "content_type": response.content_type,
    }
    optional = {"body_encoding": response.encoding, "truncated": response.truncated}
    return {**outcome, "http_response": {**details, **{key: value for key, value in optional.items() if value}}}


def _phrase(status_code: int) -> str:
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return ""


CONTROL_PORT = 8443  # runtimes serve HTTPS on this port with their own certificate
_METHODS = ("GET", "HEAD")
# Headers that no web framework takes as another method or path. An allow list, because the dangerous ones cannot be
# enumerated: CGI and WSGI treat X_HTTP_METHOD_OVERRIDE like X-HTTP-Method-Override, and X-Script-Name and
# X-Original-URI are in common use too.
_HEADERS = frozenset(
    {
        "accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "cache-control", "cookie",
        "content-type", "if-modified-since", "if-none-match", "origin", "pragma", "referer", "user-agent",
        "x-correlation-id", "x-csrf-token", "x-request-id", "x-requested-with",
    }
)  # fmt: skip


class Reads:
    """``paths`` are absolute, without a query or characters that need escaping."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)

    def __contains__(self, message: RunCommand) -> bool:
        return (
            message.method in _METHODS
            # 8443 even if spec.controlPort differs, because the cloud uses it for the runtime's API.
            and message.port in (None, CONTROL_PORT)
            and message.data is None
            and not message.files
            and _HEADERS.issuperset(name.lower() for name in message.headers)
            and message.api.partition("?")[0] in self._paths
            and self._is_sent_as_read(message)
        )

    def _is_sent_as_read(self, message: RunCommand) -> bool:
        """Whether the URL has a configured path as the HTTP client writes it, and no parameter that names a method."""
        try:
            url = URL(f"https://runtime{message.api}")
        except ValueError:
            return False
        return url.raw_path in self._paths and not any(map(_names_method, (*url.query, *message.params)))


def _names_method(parameter: str) -> bool:
    """Whether a framework may take it as the method: ``_method`` in Rails, Laravel, Symfony and recipes for Flask."""
    return "method" in parameter.lower()
