"""``create_new_runtime`` and ``delete_device``: create or delete a Runtime; the operator does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from controller import errors
from controller.api import kinds
from controller.cloud.answers import Answer
from controller.cloud.commands import rollout, specs
from controller.cloud.commands.call import Call
from controller.cloud.commands.devices import (
    Devices,
    RuntimeObject,
    full_name,
    refuse_away,
    refuse_foreign,
    selection,
    unknown,
)
from controller.cloud.contracts.base import DeviceMessage
from controller.cloud.contracts.runtimes import CreateNewRuntime
from controller.machinery import writes
from controller.machinery.client import ApiClient
from controller.machinery.writes import Write
from controller.node_api.node import NodeDirectory, Placement

# An unresponsive engine must not delay the answer: the operator checks the name again before creating the container.
NAME_CHECK_SECONDS = 2


class Schedule(NamedTuple):
    """The placement of a new Runtime, or why it cannot be placed."""

    placement: Placement | None
    blocker: str = ""


class Lifecycle:
    """``retiring`` returns whether the orchestrator is being deleted: then no runtimes are created."""

    def __init__(
        self,
        api: ApiClient,
        devices: Devices,
        blueprint: specs.Blueprint,
        nodes: NodeDirectory,
        retiring: Callable[[], bool],
    ) -> None:
        self._api = api
        self._devices = devices
        self._blueprint = blueprint
        self._nodes = nodes
        self._retiring = retiring

    async def create(self, message: CreateNewRuntime, call: Call) -> Answer:
        """Create a Runtime; answers before the container exists. Succeeds if it already exists with the same spec."""
        if self._retiring():
            raise errors.CommandError("this orchestrator is being deleted and accepts no new runtimes")
        name, spec = message.container_name, specs.requested_spec(message)
        answer = {"status": "creating", "container_id": name, "message": f"the runtime {name} is being created"}
        schedule = await self._schedule(spec)
        if schedule.placement is not None and await self._create_new(spec, schedule.placement, call, answer):
            return answer
        await call.begin()
        existing = await self._devices.find(name)
        if existing is not None and existing["metadata"].get("deletionTimestamp"):
            await self._wait_until_deleted(existing, call)
            # Chosen again, because the nodes may have changed during the wait.
            existing, schedule = None, await self._schedule(spec)
        if existing is not None:
            refuse_foreign(existing)
            _refuse_other_spec(spec, existing)
        else:
            await self._write(spec, schedule, call)
        return answer

    async def delete(self, message: DeviceMessage, call: Call) -> Answer:
        """Delete a Runtime; answers before the container is gone."""
        device_id = message.device_id
        runtime = await self._devices.find(device_id)
        resumed = await call.begin()
        # A command that was interrupted after the deletion finds nothing, and has succeeded.
        if runtime is None and not resumed:
            raise unknown(device_id)
        if runtime is not None:
            refuse_foreign(runtime)
            refuse_away(runtime)
            metadata = runtime["metadata"]
            # The uid protects a Runtime that was created under this name since it was read.
            await self._api.delete(kinds.RUNTIMES, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        return {"status": "deleting", "device_id": device_id, "message": f"the runtime {device_id} is being deleted"}

    async def _create_new(self, spec: dict[str, Any], place: Placement, call: Call, answer: Answer) -> bool:
        """Create the first Runtime of a device together with the record of the command; whether that succeeded."""

        def creation() -> Write:
            return writes.creation(kinds.RUNTIMES, self._blueprint.manifest(spec, place, call.annotations))

        made = await call.begin_with(creation, answer=answer, unless=selection(spec["deviceId"]))
        return made is not None

    async def _write(self, spec: dict[str, Any], schedule: Schedule, call: Call) -> None:
        if schedule.placement is None:
            raise errors.CommandError(schedule.blocker)
        manifest = self._blueprint.manifest(spec, schedule.placement, call.annotations)
        try:
            await self._api.create(kinds.RUNTIMES, manifest)
        except errors.AlreadyExistsError:
            raise errors.CommandError(
                f"the Runtime {full_name(manifest)} already exists with another deviceId: rename or delete it"
            ) from None

    async def _wait_until_deleted(self, runtime: RuntimeObject, call: Call) -> None:
        try:
            async with call.slot.within_deadline():
                await rollout.wait_gone(self._api, runtime)
        except TimeoutError:
            name = runtime["spec"]["deviceId"]
            raise errors.CommandError(f"{name} is still being deleted: send the command again later") from None

    async def _schedule(self, spec: dict[str, Any]) -> Schedule:
        """Choose a node. Returns a failure instead of raising it: it does not matter if the Runtime already exists."""
        name = spec["deviceId"]
        try:
            placement = await self._nodes.choose({**self._blueprint.template, **spec})
        except errors.CommandError as error:
            return Schedule(None, str(error))
        if foreign := await self._foreign_container(placement, name):
            return Schedule(None, f"the name {name} is taken by {foreign}: rename or remove it")
        return Schedule(placement)

    async def _foreign_container(self, placement: Placement, name: str) -> str:
        """Describe a foreign container with this name; "" if there is none or the node does not answer."""
        try:
            async with asyncio.timeout(NAME_CHECK_SECONDS):
                return await (await self._nodes.available())[placement.node_name].foreign_container(name)
        except (errors.ReconcileError, errors.CommandError, KeyError, TimeoutError):
            return ""


def _refuse_other_spec(spec: dict[str, Any], existing: RuntimeObject) -> None:
    field = specs.difference(spec, existing["spec"])
    if field:
        raise errors.CommandError(
            f"{spec['deviceId']} already exists with another spec ({field} differs): delete it or change its spec"
        )
