"""Records an event and a log line for each completed step."""

from __future__ import annotations

import logging
from typing import NamedTuple

from controller.api import reasons
from controller.backends import base
from controller.machinery.event_recorder import EventRecorder, Subject

log = logging.getLogger(__name__)


class StepEvent(NamedTuple):
    """The reason and message of a step's event."""

    reason: str
    message: str


EVENTS: dict[base.Step, StepEvent] = {
    base.Step.CREATE_CONTAINER: StepEvent(reasons.CREATED, "Created the container"),
    base.Step.START_CONTAINER: StepEvent(reasons.STARTED, "Started the container"),
    base.Step.STOP_CONTAINER: StepEvent(reasons.STOPPED, "Stopped the container, as the spec asks"),
    base.Step.RESTART_CONTAINER: StepEvent(reasons.RESTARTED, "Restarted the container, as spec.restartedAt asks"),
    base.Step.REPLACE_CONTAINER: StepEvent(reasons.REPLACED, "Replaced the container with one of the new spec"),
    base.Step.FINISH_REPLACEMENT: StepEvent(reasons.REPLACED, "Finished an interrupted replacement"),
    base.Step.RESTORE_NAME: StepEvent(reasons.REPAIRED, "Restored the container's name, without a restart"),
    base.Step.REPAIR_NETWORKS: StepEvent(reasons.REPAIRED, "Repaired the networks, without a restart"),
    base.Step.UPDATE_RESOURCES: StepEvent(reasons.UPDATED, "Changed the limits, without a restart"),
    # The last step of a deletion speaks for both.
    base.Step.REMOVE_NETWORKS: StepEvent(reasons.DELETED, "Removed the container and its networks"),
}


class StepRecorder:
    """Records the steps of one pass."""

    def __init__(self, recorder: EventRecorder, subject: Subject) -> None:
        self._recorder = recorder
        self._subject = subject
        self.extra = {"runtime": f"{subject.namespace}/{subject.name}"}

    def done(self, step: base.Step) -> None:
        """Record a completed step."""
        event = EVENTS.get(step)
        if event is not None:
            self._record(event)

    def adopted(self) -> None:
        """Record the adoption of a container that was created for an earlier object of the same identity."""
        self._record(StepEvent(reasons.ADOPTED, "Adopted the container of an earlier object of the same identity"))

    def _record(self, event: StepEvent) -> None:
        log.info("%s", event.message, extra=self.extra)
        self._recorder.record(self._subject, "Normal", event.reason, event.message)
