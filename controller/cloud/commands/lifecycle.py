"""``create_new_runtime`` and ``delete_device``: a Runtime is written or deleted, the operator does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from controller import errors
from controller.api import kinds
from controller.cloud.commands import rollout, specs
from controller.cloud.commands.answers import Answer
from controller.cloud.commands.devices import (
    Devices,
    RuntimeObject,
    full_name,
    refuse_away,
    refuse_foreign,
    unknown,
)
from controller.cloud.commands.executor import Call
from controller.cloud.contracts.base import DeviceMessage
from controller.cloud.contracts.runtimes import CreateNewRuntime
from controller.cloud.node import NodeDirectory, Placement
from controller.machinery.client import ApiClient

# A dead engine must not hold up the answer: the name is looked at again before the container is made.
NAME_CHECK_SECONDS = 2


class Schedule(NamedTuple):
    """Where a new Runtime can go, or why it cannot go anywhere."""

    place: Placement | None
    obstacle: str = ""


class Lifecycle:
    """``retiring`` tells whether the orchestrator is being deleted: then nothing new is made."""

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
        """Answers before the container exists. The spec that already stands is created again without a change."""
        if self._retiring():
            raise errors.CommandError("this orchestrator is being deleted and takes no new runtimes")
        name = message.container_name
        existing, room = await asyncio.gather(self._devices.find(name), self._room(message))
        await call.begin()
        if existing is not None and existing["metadata"].get("deletionTimestamp"):
            await self._wait_until_deleted(existing, call)
            existing, room = None, await self._room(message)
        if existing is not None:
            refuse_foreign(existing)
            _refuse_other_spec(message, existing)
        else:
            await self._write(message, room, call)
        return {"status": "creating", "container_id": name, "message": f"the runtime {name} is being created"}

    async def delete(self, message: DeviceMessage, call: Call) -> Answer:
        """Answers before the container is gone."""
        device_id = message.device_id
        runtime = await self._devices.find(device_id)
        resumed = await call.begin()
        if runtime is None and not resumed:
            raise unknown(device_id)
        if runtime is not None:
            refuse_foreign(runtime)
            refuse_away(runtime)
            await self._delete(runtime)
        return {"status": "deleting", "device_id": device_id, "message": f"the runtime {device_id} is being deleted"}

    async def _write(self, message: CreateNewRuntime, room: Schedule, call: Call) -> None:
        if room.place is None:
            raise errors.CommandError(room.obstacle)
        manifest = self._blueprint.manifest(message, room.place, call.mark)
        try:
            await self._api.create(kinds.RUNTIMES, manifest)
        except errors.AlreadyExistsError:
            raise errors.CommandError(
                f"there is a Runtime {full_name(manifest)} already, with another deviceId: rename or delete it"
            ) from None

    async def _delete(self, runtime: RuntimeObject) -> None:
        metadata = runtime["metadata"]
        try:
            await self._api.delete(kinds.RUNTIMES, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except errors.NotFoundError:
            return  # gone in between: as wished

    async def _wait_until_deleted(self, runtime: RuntimeObject, call: Call) -> None:
        try:
            async with call.turn.patience():
                await rollout.wait_gone(self._api, runtime)
        except TimeoutError:
            name = runtime["spec"]["deviceId"]
            raise errors.CommandError(
                f"{name} is still being deleted: send the command again when it is gone"
            ) from None

    async def _room(self, message: CreateNewRuntime) -> Schedule:
        """Where it would go, or why it cannot: only a device that does not stand yet needs it."""
        name = message.container_name
        try:
            place = await self._nodes.place({**self._blueprint.template, **specs.carried(message)})
        except errors.CommandError as error:
            return Schedule(None, str(error))
        if foreign := await self._foreign(place, name):
            return Schedule(None, f"the name {name} is taken by {foreign}: rename or remove it")
        return Schedule(place)

    async def _foreign(self, place: Placement, name: str) -> str:
        """What container of this name is not ours, or "" where that cannot be told now."""
        try:
            async with asyncio.timeout(NAME_CHECK_SECONDS):
                return await (await self._nodes.present())[place.node_name].foreign_container(name)
        except (errors.ReconcileError, errors.CommandError, KeyError, TimeoutError):
            return ""


def _refuse_other_spec(message: CreateNewRuntime, existing: RuntimeObject) -> None:
    field = specs.difference(specs.carried(message), existing["spec"])
    if field:
        raise errors.CommandError(
            f"{message.container_name} exists with another spec ({field} differs): delete it first, or change it"
        )
