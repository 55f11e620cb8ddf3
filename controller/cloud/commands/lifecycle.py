"""``create_new_runtime`` and ``delete_device``: a Runtime is written or deleted, the operator does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controller import errors
from controller.cloud.commands import convergence, specs
from controller.cloud.commands.answers import Answer
from controller.cloud.commands.devices import Devices, RuntimeObject, full_name, refuse_foreign, unknown
from controller.cloud.commands.executor import Call
from controller.cloud.contracts.base import DeviceMessage
from controller.cloud.contracts.runtimes import CreateNewRuntime
from controller.cloud.node import Node
from controller.resources import kinds
from controller.resources.client import ApiClient

# A dead engine must not hold up the answer: the name is looked at again before the container is made.
NAME_CHECK_SECONDS = 2


class Lifecycle:
    """``retiring`` tells whether the orchestrator is being deleted: then nothing new is made."""

    def __init__(
        self, api: ApiClient, devices: Devices, blueprint: specs.Blueprint, node: Node, retiring: Callable[[], bool]
    ) -> None:
        self._api = api
        self._devices = devices
        self._blueprint = blueprint
        self._node = node
        self._retiring = retiring

    async def create(self, message: CreateNewRuntime, call: Call) -> Answer:
        """Answers before the container exists. The spec that already stands is created again without a change."""
        if self._retiring():
            raise errors.CommandError("this orchestrator is being deleted and takes no new runtimes")
        name = message.container_name
        existing, stranger = await asyncio.gather(self._devices.find(name), self._stranger(name))
        await call.begin()
        if existing is not None and existing["metadata"].get("deletionTimestamp"):
            await self._wait_until_deleted(existing, call)
            existing, stranger = None, await self._stranger(name)
        if existing is not None:
            refuse_foreign(existing)
            _refuse_other_spec(message, existing)
        elif stranger:
            raise errors.CommandError(f"the name {name} is taken by {stranger}: rename or remove it")
        else:
            await self._write(message)
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
            await self._delete(runtime)
        return {"status": "deleting", "device_id": device_id, "message": f"the runtime {device_id} is being deleted"}

    async def _write(self, message: CreateNewRuntime) -> None:
        manifest = self._blueprint.manifest(message)
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
                await convergence.wait_gone(self._api, runtime)
        except TimeoutError:
            name = runtime["spec"]["deviceId"]
            raise errors.CommandError(
                f"{name} is still being deleted: send the command again when it is gone"
            ) from None

    async def _stranger(self, name: str) -> str:
        """What container of this name is not ours, or "" where that cannot be told now."""
        try:
            async with asyncio.timeout(NAME_CHECK_SECONDS):
                return await self._node.foreign_container(name)
        except (errors.ReconcileError, TimeoutError):
            return ""


def _refuse_other_spec(message: CreateNewRuntime, existing: RuntimeObject) -> None:
    field = specs.difference(specs.carried(message), existing["spec"])
    if field:
        raise errors.CommandError(
            f"{message.container_name} exists with another spec ({field} differs): delete it first, or change it"
        )
