"""Finds the Runtime of a device id and checks whether the cloud may change it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from controller.api import claims, edgenodes, fields, kinds
from controller.api.served_namespaces import ServedNamespaces
from controller.cloud.commands import ownership
from controller.errors import CommandError
from controller.machinery import writes
from controller.machinery.client import ApiClient
from controller.machinery.writes import Selection

RuntimeObject = dict[str, Any]  # a Runtime as the API sends it


class Devices:
    """Looks in ``namespace`` first, then in all others. Among several Runtimes with the id, the owner counts.

    One that is refused because its namespace is not ``served`` has no device.
    """

    def __init__(self, api: ApiClient, namespace: str, served: ServedNamespaces) -> None:
        self._api = api
        self._namespace = namespace
        self._served = served

    async def find(self, device_id: str) -> RuntimeObject | None:
        """The Runtime of a device, None if there is none. Raises errors.CommandError if the id is ambiguous."""
        # No Runtime has such an id, and a comma in it would add a requirement to the field selector.
        if not re.fullmatch(fields.DEVICE_ID, device_id):
            return None
        found = await self.list(_selector(device_id))
        own = [runtime for runtime in found if runtime["metadata"]["namespace"] == self._namespace]
        candidates = claims.owners(own or found)
        if len(candidates) > 1:
            raise CommandError(
                f"device {device_id} is ambiguous: {' and '.join(sorted(map(full_name, candidates)))} have this id; "
                "delete one of them or give it another deviceId"
            )
        return candidates[0] if candidates else None

    async def list(self, field_selector: str = "") -> Sequence[RuntimeObject]:
        """The Runtimes of all devices that match the selector."""
        listed = await self._api.list(kinds.RUNTIMES, field_selector=field_selector)
        return [runtime for runtime in listed if self._served.accepts(runtime)]

    async def get(self, device_id: str) -> RuntimeObject:
        """As ``find``, but also raises errors.CommandError if there is no Runtime or its node is away."""
        runtime = await self.find(device_id)
        if runtime is None:
            raise unknown(device_id)
        refuse_away(runtime)
        return runtime

    async def get_own(self, device_id: str) -> RuntimeObject:
        """As ``get``, but also raises errors.CommandError, naming the owner, if the cloud does not manage it."""
        runtime = await self.get(device_id)
        refuse_foreign(runtime)
        return runtime


def selection(device_id: str) -> Selection:
    """All Runtimes of a device."""
    return writes.selection(kinds.RUNTIMES, _selector(device_id))


def _selector(device_id: str) -> str:
    return f"spec.deviceId={device_id}"


def unknown(device_id: str) -> CommandError:
    """The error for a device id without a Runtime."""
    return CommandError(f"there is no device {device_id} here")


def refuse_away(runtime: RuntimeObject) -> None:
    """Raise errors.CommandError if the node is away: a change would take effect at some later, unexpected time."""
    if reason := edgenodes.away_message(runtime):
        raise CommandError(f"{runtime['spec']['deviceId']} accepts no commands now: {reason}")


def refuse_foreign(runtime: RuntimeObject) -> None:
    """Raise errors.CommandError if the Runtime is not managed by the cloud."""
    if not ownership.is_managed_by_cloud(runtime):
        raise CommandError(
            f"{full_name(runtime)} is managed by {ownership.owner(runtime)}: change it there, not from the cloud"
        )


def full_name(runtime: RuntimeObject) -> str:
    """``namespace/name``."""
    return f"{runtime['metadata']['namespace']}/{runtime['metadata']['name']}"
