"""JSON as it is stored and sent: the same text, so an object that is shown as it is stored is encoded once."""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

encoded = json.JSONEncoder(separators=(",", ":")).encode

LARGE = 16 << 10  # characters: to parse more, about a thousand values, would block the event loop
LEVEL = 1  # of compression: a third of the text, for less time than it takes to parse or encode it

Place = tuple[str, str]  # namespace and name


class Json(str):
    """The JSON of an object."""

    __slots__ = ()


class Stored(dict[str, Any]):
    """A stored object with its JSON. Must not be changed: the text would be that of another object."""

    __slots__ = ("text",)

    def __init__(self, item: Mapping[str, Any], text: str) -> None:
        super().__init__(item)
        self.text = text


class Kept(NamedTuple):
    """A stored object as it is kept in memory.

    Parsed it takes ten times as much, in hundreds of small objects, between which the interpreter can hardly return
    memory to the system. Only few are large.
    """

    place: Place
    revision: int
    content: bytes | str | Stored  # the text, compressed or not; a large object parsed

    @property
    def text(self) -> str:
        """Its JSON."""
        match self.content:
            case Stored(text=text) | str(text):
                return text
            case bytes(packed):
                return zlib.decompress(packed).decode()

    @property
    def is_large(self) -> bool:
        """Whether encoding it would block the event loop for too long."""
        return isinstance(self.content, Stored)

    @property
    def size(self) -> int:
        """The length of its text, which may be compressed."""
        return len(self.content.text if isinstance(self.content, Stored) else self.content)

    def parsed(self) -> Stored:
        """The object; must not be changed."""
        return self.content if isinstance(self.content, Stored) else parsed(self.text)


class Selection:
    """Stored objects ordered by namespace and name, each of which is parsed when it is reached."""

    def __init__(self, kept: Sequence[Kept]) -> None:
        self.kept = kept

    def __len__(self) -> int:
        return len(self.kept)

    def __iter__(self) -> Iterator[Stored]:
        return (one.parsed() for one in self.kept)

    def after(self, place: Place) -> Selection:
        """Those behind a place, whether or not there is one at it."""
        return Selection(self.kept[bisect_right(self.kept, place, key=attrgetter("place")) :])

    @property
    def size(self) -> int:
        """The length of all texts, which may be compressed."""
        return sum(one.size for one in self.kept)


def kept(place: Place, revision: int, item: Mapping[str, Any]) -> Kept:
    """An object to be kept for long."""
    stored = item if isinstance(item, Stored) else Stored(item, encoded(item))
    return Kept(place, revision, stored if len(stored.text) > LARGE else zlib.compress(stored.text.encode(), LEVEL))


def read(place: Place, revision: int, text: str) -> Kept:
    """An object to be kept for the time of a request. Raises ValueError."""
    return Kept(place, revision, parsed(text) if len(text) > LARGE else text)


def parsed(text: str) -> Stored:
    """The object with this JSON. Raises ValueError."""
    return Stored(json.loads(text), text)


def of(item: Mapping[str, Any] | Json) -> str:
    """The JSON of an object: the text itself, if it is known."""
    if isinstance(item, Stored):
        return item.text
    return item if isinstance(item, Json) else encoded(item)
