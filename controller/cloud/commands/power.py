"""``start_device``, ``stop_device``, ``restart_device``: change the spec and answer once the Runtime follows it."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from controller.api import kinds
from controller.cloud.answers import Answer
from controller.cloud.commands import rollout
from controller.cloud.commands.call import Call
from controller.cloud.commands.devices import Devices, RuntimeObject
from controller.cloud.contracts.base import DeviceMessage
from controller.errors import CommandError, ConflictError
from controller.machinery import writes
from controller.machinery.client import ApiClient


class Power:
    """Every command is idempotent: executing it again after a crash changes nothing more."""

    def __init__(self, api: ApiClient, devices: Devices) -> None:
        self._api = api
        self._devices = devices

    async def start(self, message: DeviceMessage, call: Call) -> Answer:
        """Start the device; answers once the container runs."""
        return await self._change(message, call, {"desiredState": "Running"})

    async def stop(self, message: DeviceMessage, call: Call) -> Answer:
        """Stop the device; answers once the container is stopped."""
        return await self._change(message, call, {"desiredState": "Stopped"})

    async def restart(self, message: DeviceMessage, call: Call) -> Answer:
        """Restart the device, or start a stopped one; answers once the container runs."""
        token = restart_token(message.requested_at, call.identity)
        return await self._change(message, call, {"desiredState": "Running", "restartedAt": token})

    async def _change(self, message: DeviceMessage, call: Call, change: dict[str, Any]) -> Answer:
        runtime = await self._devices.get_own(message.device_id)
        if runtime["metadata"].get("deletionTimestamp"):
            raise CommandError(f"{message.device_id} is being deleted")
        written = await self._write(runtime, call, change)
        await self._wait(written, call, change["desiredState"])
        return {"status": "success", "success": True, "device_id": message.device_id}

    async def _write(self, runtime: RuntimeObject, call: Call, change: dict[str, Any]) -> RuntimeObject:
        """Change the spec, together with the record of the command if possible. Returns the changed Runtime."""
        name, namespace = runtime["metadata"]["name"], runtime["metadata"]["namespace"]

        def patch() -> dict[str, Any]:
            # The uid protects a Runtime that was created under this name since it was read.
            return {"metadata": {"uid": runtime["metadata"]["uid"], "annotations": call.annotations}, "spec": change}

        if written := await call.begin_with(lambda: writes.merge(kinds.RUNTIMES, name, namespace, patch())):
            return written
        await call.begin()
        try:
            return await self._api.patch(kinds.RUNTIMES, name, namespace, patch())
        except ConflictError:
            device_id = runtime["spec"]["deviceId"]
            raise CommandError(
                f"{device_id} was deleted and created again in the meantime: send the command again"
            ) from None

    async def _wait(self, written: RuntimeObject, call: Call, state: str) -> None:
        latest = written
        try:
            # Without aclosing, a generator that is left early keeps its watch open until it is collected (PEP 525).
            async with call.slot.within_deadline(), aclosing(rollout.follow(self._api, written)) as changes:
                async for runtime in changes:
                    latest = _still_desired(runtime, written, state)
                    if rollout.is_ready(latest, written["metadata"]["generation"]):
                        return
                    _refuse_when_stalled(latest, written["metadata"]["generation"])
        except TimeoutError:
            raise _not_ready(latest, rollout.waits_for(latest)) from None


def restart_token(requested_at: str | None, command: str) -> str:
    """An RFC 3339 date-time for restartedAt: equal for redeliveries, different for commands of the same millisecond.

    Its fraction consists of the milliseconds and six digits of the command's identity.
    """
    moment = datetime.fromisoformat(requested_at) if requested_at else datetime.now(UTC)
    utc = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    digits = int(hashlib.sha256(command.encode()).hexdigest(), 16) % 1_000_000
    # Not strftime, whose years before 1000 have fewer than four digits.
    return f"{utc.replace(tzinfo=None).isoformat(timespec='seconds')}.{utc.microsecond // 1000:03d}{digits:06d}Z"


def _still_desired(runtime: RuntimeObject | None, written: RuntimeObject, state: str) -> RuntimeObject:
    device_id = written["spec"]["deviceId"]
    if runtime is None or runtime["metadata"].get("deletionTimestamp"):
        raise CommandError(f"{device_id} was deleted in the meantime")
    if runtime["spec"].get("desiredState", "Running") != state:
        raise CommandError(
            f"the desired state of {device_id} was changed to {runtime['spec']['desiredState']} in the meantime"
        )
    return runtime


def _refuse_when_stalled(runtime: RuntimeObject, generation: int) -> None:
    reason = rollout.stall(runtime, generation)
    if reason:
        raise _not_ready(runtime, reason)


def _not_ready(runtime: RuntimeObject, reason: str) -> CommandError:
    return CommandError(
        f"not done yet, but the change stays in effect; {runtime['spec']['deviceId']} waits for: {reason}"
    )
