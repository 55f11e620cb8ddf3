"""Converts Runtime objects to what a pass works with, including objects that cannot be fully parsed. Pure."""

from __future__ import annotations

from typing import Any

import pydantic

from controller.api import kinds, runtimes
from controller.api.runtime_status import RuntimeStatus
from controller.backends import base
from controller.machinery import model
from controller.machinery.event_recorder import Subject
from controller.runtimes.keys import Key


def target(install_id: str, runtime: runtimes.Runtime, rival: str = "") -> base.Target:
    """The Runtime as the backend needs it. A MAC address in the spec takes precedence over the one in the status."""
    spec, described = runtime.spec, runtime.metadata
    # A MAC address in the status outlives the container: a DHCP server knows the runtime by it.
    pinned = {interface.name for interface in spec.interfaces if interface.mac_address}
    return base.Target(
        identity=base.Identity(install_id, described.namespace, spec.device_id),
        name=described.name,
        uid=described.uid,
        generation=described.generation,
        spec=spec,
        mac_addresses={
            interface.name: interface.mac_address
            for interface in runtime.status.interfaces
            if interface.mac_address and interface.name not in pinned
        },
        container_id=runtime.status.container_id or "",
        rival=rival,
        applied=runtime.status.applied_generation == described.generation,
    )


def subject(key: Key, uid: str) -> Subject:
    """The object that events about the Runtime refer to."""
    return Subject(kinds.RUNTIMES, key.name, key.namespace, uid)


def fault(error: pydantic.ValidationError) -> str:
    """The first field that cannot be parsed: the object is of a newer version, or it bypassed the schema."""
    found = error.errors()[0]
    return f"This version cannot read {'.'.join(str(part) for part in found['loc'])}: {found['msg']}"


def bare(body: dict[str, Any]) -> runtimes.Runtime:
    """A Runtime with only its identity and, if readable, its status: enough for a deletion."""
    try:
        known = RuntimeStatus.model_validate(body.get("status") or {})
    except pydantic.ValidationError:
        known = RuntimeStatus()
    return runtimes.Runtime(
        metadata=model.ObjectMeta.model_validate(body["metadata"]),
        # Without validation: the spec is what could not be parsed.
        spec=runtimes.RuntimeSpec.model_construct(device_id=body["spec"]["deviceId"], image=""),
        status=known,
    )
