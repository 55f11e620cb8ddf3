"""Records an event and a log line for each completed step."""

from __future__ import annotations

import logging
from typing import NamedTuple

from controller.api import reasons
from controller.backends import base
from controller.machinery.event_recorder import EventRecorder, Subject

log = logging.getLogger(__name__)


class Note(NamedTuple):
    """The reason and message of a step's event."""

    reason: str
    message: str


NOTES: dict[base.Step, Note] = {
    base.Step.CREATE_CONTAINER: Note(reasons.CREATED, "Created the container"),
    base.Step.START_CONTAINER: Note(reasons.STARTED, "Started the container"),
    base.Step.STOP_CONTAINER: Note(reasons.STOPPED, "Stopped the container, as the spec asks"),
    base.Step.RESTART_CONTAINER: Note(reasons.RESTARTED, "Restarted the container, as spec.restartedAt asks"),
    base.Step.REPLACE_CONTAINER: Note(reasons.REPLACED, "Replaced the container with one of the new spec"),
    base.Step.FINISH_REPLACEMENT: Note(reasons.REPLACED, "Finished an interrupted replacement"),
    base.Step.RESTORE_NAME: Note(reasons.REPAIRED, "Restored the container's name, without a restart"),
    base.Step.REPAIR_NETWORKS: Note(reasons.REPAIRED, "Repaired the networks, without a restart"),
    base.Step.UPDATE_RESOURCES: Note(reasons.UPDATED, "Changed the limits, without a restart"),
    base.Step.REMOVE_NETWORKS: Note(reasons.DELETED, "Removed the container and its networks"),
}


class StepNotes:
    """Records the steps of one pass."""

    def __init__(self, recorder: EventRecorder, subject: Subject) -> None:
        self._recorder = recorder
        self._subject = subject
        self.extra = {"runtime": f"{subject.namespace}/{subject.name}"}

    def done(self, step: base.Step) -> None:
        """Record a completed step."""
        note = NOTES.get(step)
        if note is not None:
            self._record(note)

    def adopted(self) -> None:
        """Record the adoption of a container that was created for an earlier object of the same identity."""
        self._record(Note(reasons.ADOPTED, "Adopted the container of an earlier object of the same identity"))

    def _record(self, note: Note) -> None:
        log.info("%s", note.message, extra=self.extra)
        self._recorder.record(self._subject, "Normal", note.reason, note.message)
