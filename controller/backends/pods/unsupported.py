"""The facets that pods do not support or support in another way: refused at creation, reported of an existing pod."""

from __future__ import annotations

from dataclasses import replace

from controller import errors
from controller.api import reasons
from controller.api.runtimes import RuntimeSpec
from controller.backends.observation import Observed, ObservedDedicated, ObservedDevice

REALTIME = "Kubernetes cannot set the limits rtprio and memlock: the pod gets the capabilities SYS_NICE and IPC_LOCK"
DEVICES = "Pods do not support serial devices: run this Runtime with spec.backend Docker on the node that has them"
DEDICATED = "Pods do not support dedicated interfaces: use spec.interfaces, or spec.backend Docker"


def refuse(spec: RuntimeSpec) -> None:
    """Raise errors.Stalled for features that pods do not support."""
    if spec.serial_ports:
        raise errors.Stalled(reasons.DEVICES_UNSUPPORTED, DEVICES)
    if spec.dedicated_interface:
        raise errors.Stalled(reasons.SPEC_IMPOSSIBLE, DEDICATED)


def observe(spec: RuntimeSpec, observed: Observed) -> Observed:
    """Add what a spec asks for that changed after the pod's creation; it keeps running without."""
    dedicated = spec.dedicated_interface is not None
    return replace(
        observed,
        devices=tuple(
            ObservedDevice(port.name, in_order=False, detail=DEVICES, awaits=reasons.DEVICES_UNSUPPORTED)
            for port in spec.serial_ports
        ),
        dedicated=ObservedDedicated(DEDICATED if dedicated else ""),
        start_blockers=((reasons.SPEC_IMPOSSIBLE, DEDICATED),) if dedicated else (),
        warnings=((reasons.REALTIME_BY_CAPABILITIES, REALTIME),) if spec.realtime.enabled else (),
    )
