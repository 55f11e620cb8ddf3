"""Keeps the lists that clients read in pages, so that a page after a write does not read all objects from disk."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from controller.apiserver.texts import Selection

KEPT = 4  # a list costs what was replaced or deleted since; further ones are read from disk


class Listed(NamedTuple):
    """What was listed; ``field`` is a selector, by which an index may have left objects out."""

    revision: int
    resource: str
    namespace: str
    field: str


class Snapshots:
    """The lists that were continued last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Listed, Selection] = OrderedDict()

    def find(self, listed: Listed) -> Selection | None:
        """The list, if it is still kept."""
        return self._kept.get(listed)

    def keep(self, listed: Listed, found: Selection) -> None:
        """Keep a list of which further pages may be read."""
        self._kept[listed] = found
        self._kept.move_to_end(listed)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def drop(self, listed: Listed) -> None:
        """Drop a list of which the last page was read."""
        self._kept.pop(listed, None)
