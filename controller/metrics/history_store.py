"""Persists the history: loads the archive at the start and writes each hour when it is complete.

A power cut loses at most an hour of samples; more frequent writes would wear out the SD cards of edge hosts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from controller.machinery.controller import Controller
from controller.metrics import archive
from controller.metrics.history import HOUR, History, Hour
from controller.workers import Workers

logger = logging.getLogger(__name__)

_STOP_SECONDS = 2.0


class _PackedHour(NamedTuple):
    """One packed hour to be written, with its number of samples when it was packed."""

    series: str
    hour: Hour
    samples: int
    packed: bytes


class HistoryStore:
    """Owns the archive's thread. Without a store the history is in memory only."""

    def __init__(self, history: History, files: archive.Archive, *, clock: Callable[[], float] = time.time) -> None:
        self._history = history
        self._files = files
        self._clock = clock
        self._thread = Workers(1, "history")  # a daemon: a hanging disk must not keep the process from exiting
        self._on_disk: set[tuple[str, int]] = set()
        self._loaded = False
        self._failed = False
        self.controller = Controller("keep the metrics history", self._load_or_save)

    async def _load_or_save(self) -> float:
        """Load at first, then save; return the seconds until the next hour is complete."""
        await (self.save(finished_only=True) if self._loaded else self.load())
        # The extra second ensures that the hour is over when the timer fires.
        return HOUR - self._clock() % HOUR + 1

    async def stop(self) -> None:
        """Write the current hour too, for at most 2 s, and end the thread. Call after the controller has ended."""
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.save(finished_only=False)
        except TimeoutError:
            logger.warning("Lost the last hour of the metrics history: the disk is too slow")
        self._loaded = False  # nothing is written after the end
        self._thread.close()

    async def load(self) -> None:
        """Merge the archive into the history."""
        try:
            found = await self._thread.run(self._files.load)
        except OSError as error:
            logger.warning("Cannot read the metrics history, starting with an empty one: %s", error)
            found = {}
        for series, hours in found.items():
            # Damaged hours are empty: on disk but not in the history, so the next save removes their files.
            self._on_disk |= {(series, hour.number) for hour in hours}
            self._history.restore(series, [hour for hour in hours if hour])
            # Heartbeats and the API get their turn between two series.
            await asyncio.sleep(0)
        self._loaded = True

    async def save(self, *, finished_only: bool) -> None:
        """Write the hours that changed since they were last written; the next save retries failures."""
        if not self._loaded:
            return  # the file of this hour may hold samples that are not loaded yet
        self._history.expire()
        # Packed here, as the arrays belong to the loop: the thread would see samples appear while it packs.
        pages, gone = self._changed(finished_only=finished_only), self._gone()
        try:
            await self._thread.run(lambda: self._write(pages, gone))
        except OSError as error:
            if not self._failed:
                logger.warning("Cannot write the metrics history, keeping it in memory: %s", error)
            self._failed = True
        else:
            self._failed = False

    def _changed(self, *, finished_only: bool) -> list[_PackedHour]:
        current = int(self._clock()) // HOUR
        return [
            _PackedHour(series, hour, len(hour), archive.pack(hour))
            for series, hours in self._history.series().items()
            for hour in hours.values()
            if len(hour) != hour.saved and not (finished_only and hour.number == current)
        ]

    def _gone(self) -> set[tuple[str, int]]:
        """Return the hours on disk that are no longer in the history: dropped, damaged, or moved to another time."""
        series = self._history.series()
        return {(name, number) for name, number in self._on_disk if number not in series.get(name, ())}

    def _write(self, pages: list[_PackedHour], gone: set[tuple[str, int]]) -> None:
        for page in pages:
            self._files.write(page.series, page.hour.number, page.packed)
            self._on_disk.add((page.series, page.hour.number))
            # Not len(page.hour): samples recorded during the write are not in the file.
            page.hour.saved = page.samples
        for series, number in gone:
            self._files.remove(series, number)
        self._on_disk -= gone
        self._files.clean_up()
