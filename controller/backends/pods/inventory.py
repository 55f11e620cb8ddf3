"""Lists and removes every object of an installation in the cluster: workloads, then networks, then volumes."""

from __future__ import annotations

from typing import Any, NamedTuple

from controller import errors
from controller.backends.base import Identity, LabeledContainer
from controller.backends.pods import naming
from controller.machinery import kinds as core_kinds
from controller.machinery.client import ApiClient
from controller.machinery.kinds import Kind


class Group(NamedTuple):
    """A kind and the word for it in messages."""

    kind: Kind
    word: str


# Workloads first, or a pod could be created again without its networks.
_GROUPS = (
    Group(core_kinds.STATEFUL_SETS, "container"),
    Group(core_kinds.SERVICES, "network"),
    Group(core_kinds.NETWORK_ATTACHMENT_DEFINITIONS, "network"),
)
_VOLUMES = Group(core_kinds.PERSISTENT_VOLUME_CLAIMS, "volume")


class Inventory:
    """Touches only objects with the installation's labels. Includes volumes, which hold user data, only on request."""

    def __init__(self, api: ApiClient, install_id: str) -> None:
        self._api = api
        self._install_id = install_id

    async def list_containers(self) -> list[LabeledContainer]:
        """All workloads."""
        return [
            LabeledContainer(identity, body["metadata"]["name"], body["metadata"]["uid"])
            for identity, body in await self._of(core_kinds.STATEFUL_SETS)
        ]

    async def list_objects(self, *, volumes: bool) -> list[str]:
        """Describe every object."""
        return [line for group in _groups(volumes) for line, _ in await self._lines(group)]

    async def purge(self, *, volumes: bool) -> list[str]:
        """Remove every object; return descriptions of what was removed."""
        removed = []
        for group in _groups(volumes):
            for line, body in await self._lines(group):
                described = body["metadata"]
                # By uid: since the list, somebody may have created another object with this name.
                await self._api.delete(group.kind, described["name"], described["namespace"], uid=described["uid"])
                removed.append(line)
        return removed

    async def _lines(self, group: Group) -> list[tuple[str, dict[str, Any]]]:
        found = await self._of(group.kind)
        return [(f"{group.word} {_display_name(group, identity, body)}", body) for identity, body in found]

    async def _of(self, kind: Kind) -> list[tuple[Identity, dict[str, Any]]]:
        """Our objects of a kind that are not being deleted; none if the cluster does not know the kind."""
        try:
            selector = naming.selector(naming.install_labels(self._install_id))
            found = await self._api.list(kind, label_selector=selector)
        except errors.NotServedError:
            return []
        ours = [(naming.identity_of(body, self._install_id), body) for body in found if _is_kept(body)]
        return [(identity, body) for identity, body in ours if identity is not None]


def _is_kept(body: dict[str, Any]) -> bool:
    return not body["metadata"].get("deletionTimestamp")


def _groups(volumes: bool) -> tuple[Group, ...]:
    return (*_GROUPS, _VOLUMES) if volumes else _GROUPS


def _display_name(group: Group, identity: Identity, body: dict[str, Any]) -> str:
    return identity.device_id if group.kind is core_kinds.STATEFUL_SETS else body["metadata"]["name"]
