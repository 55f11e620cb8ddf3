"""``get_device_status``: translates a Runtime's status into the cloud's terms. Read-only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from controller import errors, names
from controller.api import edgenodes
from controller.api.runtime_status import docker_state
from controller.cloud.answers import Answer, error
from controller.cloud.commands import rollout
from controller.cloud.commands.devices import Devices, RuntimeObject
from controller.cloud.contracts.base import ORCHESTRATOR, DeviceMessage
from controller.machinery import conditions, timestamps
from controller.node_api.node import Node, NodeDirectory

# A creation that was interrupted between creating and starting the container goes on with the start.
_CONTINUED = {"creating": ("creating", "starting")}


class DeviceStatus:
    """``orchestrator`` returns the progress of ``delete_orchestrator``."""

    def __init__(
        self,
        devices: Devices,
        nodes: NodeDirectory,
        orchestrator: Callable[[], Answer],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._devices = devices
        self._nodes = nodes
        self._orchestrator = orchestrator
        self._clock = clock

    async def get(self, message: DeviceMessage) -> Answer:
        """The state, addresses and health of a device, with the progress of its current operation."""
        if message.device_id == ORCHESTRATOR:
            return {"device_id": ORCHESTRATOR, **self._orchestrator()}
        runtime = await self._devices.find(message.device_id)
        if runtime is None:
            found = await self._unknown(message.device_id)
        elif reason := edgenodes.away_message(runtime):
            found = error(reason)  # its status may be outdated
        else:
            found = await self._of(runtime)
        return {"device_id": message.device_id, **found}

    async def _unknown(self, device_id: str) -> Answer:
        nodes = (await self._nodes.available()).values()
        found = await asyncio.gather(*(_foreign_container(node, device_id) for node in nodes))
        if foreign := next(filter(None, found), ""):
            return error(f"the name {device_id} is taken by {foreign}, which this orchestrator does not manage")
        return {"status": "not_found", "message": f"there is no device {device_id} here"}

    async def _of(self, runtime: RuntimeObject) -> Answer:
        status: dict[str, Any] = runtime.get("status") or {}
        running = docker_state(status) == "running"
        run_time = {"uptime_seconds": await self._uptime(runtime, status)} if running else _end(status)
        return {**_facts(runtime, status), **run_time, **_progress(runtime, status)}

    async def _uptime(self, runtime: RuntimeObject, status: dict[str, Any]) -> int | None:
        """Seconds of uptime by the host's monotonic clock; None if the host does not answer.

        For a pod only the time of day is known, which is reliable enough: a cluster synchronises its clocks.
        """
        began: int | None = status.get("startedSeconds")
        if began is None:
            started = timestamps.seconds(status.get("startedAt"))
            return None if started is None else max(0, int(self._clock() - started))
        try:
            reading = await (await self._nodes.node_of(runtime)).reading()
        except errors.CommandError:
            return None
        return max(0, reading.host.uptime - began)


def _end(status: dict[str, Any]) -> Answer:
    return {"exit_code": status.get("exitCode")}


def _facts(runtime: RuntimeObject, status: dict[str, Any]) -> Answer:
    attached = {port["name"]: port.get("attached", False) for port in status.get("serialPorts") or ()}
    return {
        "container_status": docker_state(status),
        "is_running": docker_state(status) == "running",
        "networks": {
            interface["name"]: {
                "ip_address": interface.get("address") or None,
                "mac_address": interface.get("macAddress") or None,
                "gateway": interface.get("gateway") or None,
            }
            for interface in status.get("interfaces") or ()
        },
        "restart_count": status.get("restartCount", 0),
        "internal_ip": status.get("internalIP"),
        "health_status": status.get("health") or "none",
        "serial_ports": [
            {
                "name": port["name"],
                "device_id": port["deviceId"],
                "container_path": port["containerPath"],
                "baud_rate": port.get("baudRate"),
                "attached": attached.get(port["name"], False),
            }
            for port in runtime["spec"].get("serialPorts") or ()
        ],
    }


def _progress(runtime: RuntimeObject, status: dict[str, Any]) -> Answer:
    """The ``status`` field, and the current operation if there is one."""
    if runtime["metadata"].get("deletionTimestamp"):
        return {"status": "deleting", **_operation(runtime, status, "deleting")}
    if conditions.of(runtime, names.STALLED).get("status") == "True":
        return error(rollout.waits_for(runtime))
    operation = (status.get("operation") or {}).get("name")
    if operation == "creating" or status.get("observedGeneration", -1) < 0:
        return {"status": "creating", **_operation(runtime, status, "creating")}
    if status.get("error") and not rollout.is_ready(runtime, 0):
        return error(status["error"])
    extra = {"message": unobservable} if (unobservable := _unobservable(runtime)) else {}
    return {"status": "success", **extra, **(_operation(runtime, status, operation) if operation else {})}


def _unobservable(runtime: RuntimeObject) -> str:
    """Why the state cannot be observed now, for example an unresponsive engine; "" if it can."""
    return _message_of_ready(runtime, "Unknown")


def _message_of_ready(runtime: RuntimeObject, *statuses: str) -> str:
    """What the last pass said of the condition Ready, if it has one of these statuses; "" otherwise."""
    ready = conditions.of(runtime, names.READY)
    return str(ready.get("message", "")) if ready.get("status") in statuses else ""


def _operation(runtime: RuntimeObject, status: dict[str, Any], name: str) -> Answer:
    """The operation's fields from the status; if the operator has not started it, the time it was requested."""
    metadata = runtime["metadata"]
    asked_at = metadata.get("deletionTimestamp") or metadata.get("creationTimestamp")
    operation = status.get("operation") or {}
    if operation.get("name") not in _CONTINUED.get(name, (name,)):
        step = _message_of_ready(runtime, "False", "Unknown") or "waiting for the controller"
        operation = {"step": step, "startedAt": asked_at, "updatedAt": asked_at}
    return {
        "operation": name,
        "step": operation.get("message") or operation.get("step") or "",
        "started_at": operation.get("startedAt"),
        "updated_at": operation.get("updatedAt"),
    }


async def _foreign_container(node: Node, name: str) -> str:
    """Describe a foreign container with this name; "" if there is none or node or engine do not answer."""
    try:
        return await node.foreign_container(name)
    except (errors.ReconcileError, errors.CommandError):
        return ""
