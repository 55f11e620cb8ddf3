"""``run_command``: one HTTP request to the runtime's internal address, and to no other host."""

from __future__ import annotations

import ipaddress
from http import HTTPStatus

from controller.api.runtime_status import docker_state
from controller.cloud.answers import Answer, error
from controller.cloud.commands.call import Call
from controller.cloud.commands.devices import Devices, RuntimeObject
from controller.cloud.commands.reads import CONTROL_PORT, Reads
from controller.cloud.contracts.commands import RunCommand
from controller.errors import CommandError
from controller.node_api.node import File, HttpRequest, HttpResponse, Node, NodeDirectory


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
        node, request = await self._prepare(message)
        return _answer(await node.request(request, self._seconds))

    async def run(self, message: RunCommand, call: Call) -> Answer:
        """Forward a request and return the runtime's answer; an HTTP status of 400 or more counts as an error."""
        node, request = await self._prepare(message)
        await call.begin()
        if call.slot.seconds_left <= 0:
            raise CommandError("not sent: earlier commands for the device used up the time limit, send it again")
        return _answer(await node.request(request, call.slot.seconds_left))

    async def _prepare(self, message: RunCommand) -> tuple[Node, HttpRequest]:
        runtime = await self._devices.get(message.device_id)
        request = _request(message, runtime)
        return await self._nodes.node_of(runtime), request


def _request(message: RunCommand, runtime: RuntimeObject) -> HttpRequest:
    control = runtime["spec"].get("controlPort") or {}
    control_port = control.get("port", CONTROL_PORT)
    port = message.port or control_port
    other = "https" if port == CONTROL_PORT else "http"
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
    )


def _address(runtime: RuntimeObject) -> str:
    status = runtime.get("status") or {}
    device_id, state = runtime["spec"]["deviceId"], docker_state(status) or "not created yet"
    if state != "running":
        raise CommandError(f"{device_id} is not running (it is {state}): start it first")
    try:
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
