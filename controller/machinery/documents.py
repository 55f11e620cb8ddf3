"""What the API sends: lists, the events of a watch, and their parsing."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from controller.machinery import failures


class Listing(NamedTuple):
    """All objects of a list, and the resourceVersion from which a watch continues it."""

    objects: list[dict[str, Any]]
    resource_version: str


class WatchEvent(NamedTuple):
    """One event of a watch: ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: dict[str, Any]

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The one object, as a Listing has several."""
        return [self.object]


def event_of(line: bytes) -> WatchEvent:
    """Parse a line of a watch. Raises ValueError, and the errors.ApiError of an ERROR event."""
    event = object_of(line)
    body = event.get("object")
    if not isinstance(body, dict):
        raise ValueError("received an event without an object")
    if event.get("type") == "ERROR":
        raise failures.from_status(body)
    return WatchEvent(str(event.get("type")), body)


def object_of(text: bytes) -> dict[str, Any]:
    """Parse a response that is an object. Raises ValueError."""
    parsed = json.loads(text)
    if not isinstance(parsed, dict):
        raise ValueError("the response is not an object")
    return parsed
