"""The outcome of a pass over a Runtime, from which its kstatus conditions follow, and the report for its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from controller import errors
from controller.api import reasons, served_namespaces
from controller.api.runtime_status import RestartIntent
from controller.backends import base
from controller.backends.observation import Observed
from controller.runtimes.restart_context import RestartContext

Kind = Literal["ready", "waiting", "retry", "stalled", "paused", "gone"]
OperationName = Literal["creating", "updating", "starting", "stopping", "restarting", "deleting"]


class Outcome(NamedTuple):
    """``reason`` is one of api/reasons.py, ``message`` one sentence for the user."""

    kind: Kind
    reason: str
    message: str

    @property
    def failed(self) -> bool:
        """Whether something went wrong, as opposed to done or in progress."""
        return self.kind in ("retry", "stalled")


@dataclass(frozen=True)
class Report:
    """The results of a pass; ``observed`` is None if the backend could not observe the container.

    ``image_source`` is the reference that ``target.image`` was resolved from; ``restart_context`` explains a new
    start or stop. ``last_command`` is the command that last wrote the object.
    """

    target: base.Target
    outcome: Outcome
    now: float
    node: str | None
    observed: Observed | None = None
    image_source: str = ""
    image_allowed: bool = True
    operation: OperationName | None = None
    restart: RestartIntent | None = None
    restart_context: RestartContext = field(default_factory=RestartContext)
    last_command: str | None = None


def of_reason(reason: str, message: str) -> Outcome:
    """The outcome that a reason belongs to. Raises ValueError for one that explains no failure."""
    return Outcome(reasons.failure(reason), reason, message)


def owned_by(owner: Mapping[str, Any]) -> Outcome:
    """The outcome for a Runtime whose deviceId belongs to ``owner``."""
    name, device_id = owner["metadata"]["name"], owner["spec"]["deviceId"]
    node = owner["spec"].get("nodeName")
    if owner["metadata"].get("deletionTimestamp"):
        message = f"Runtime {name}, which owns deviceId {device_id}, is being deleted: this one takes over then"
        return Outcome("waiting", reasons.DELETING, message)
    message = (
        f"Runtime {name}{f' on node {node}' if node else ''} owns deviceId {device_id}: delete it, so that this one "
        "takes over, or delete this one"
    )
    return Outcome("stalled", reasons.DEVICE_ID_TAKEN, message)


def unserved(namespace: str) -> Outcome:
    """The outcome for a Runtime in a namespace that is not served."""
    return of_reason(reasons.NAMESPACE_NOT_SERVED, served_namespaces.refusal(namespace))


def of_error(error: Exception) -> Outcome:
    """The outcome of a pass that ended with ``error``."""
    match error:
        case errors.Waiting():
            return Outcome("waiting", error.reason, str(error))
        case errors.Stalled():
            return Outcome("stalled", error.reason, str(error))
        case errors.ReconcileError():
            return Outcome("retry", error.reason, str(error))
        # Such as an error of the API: it has no reason of its own.
        case errors.EdgeError():
            return Outcome("retry", reasons.STEP_FAILED, str(error))
        # Without the text of a bug, which may contain values of the spec; the log has the traceback.
        case _:
            return Outcome("retry", reasons.STEP_FAILED, f"Internal error, see the log: {type(error).__name__}")
