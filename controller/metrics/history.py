"""48 hours of samples in memory: one series for the host and one for each runtime, a sample every 5 s.

A series consists of hours, and an hour of three packed arrays: 10 bytes per sample, 0.34 MB for 48 hours. Whole hours
are dropped in the order in which they were recorded, not by the time of day, which may be wrong. Belongs to the event
loop's thread and does no I/O; archive.py handles the files.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from controller import boottime

HOUR = 3600
KEPT_HOURS = 48
ACTIVE_SECONDS = 60  # a series without a sample for longer makes room for a new one
# An answer to the cloud has two lists of at most this many points of 40 bytes: 230 kB of the 900 kB allowed for a
# message. Four hours fit at 5 s, 48 hours at one minute.
MAX_POINTS = 3000
_SPANS = (10, 20, 30, 60, 120, 300, 600, 1200, 1800, HOUR)  # seconds that one point may cover
_HOUR_SAMPLES = 2 * 720  # bounds an hour that is recorded again and again because the clock is set back


class Sample(NamedTuple):
    """Usage at one time: Unix seconds, percent, MB of 2^20 bytes."""

    timestamp: int
    cpu: float
    memory: float


class _Run(NamedTuple):
    """Consecutive samples of one hour in chronological order."""

    number: int
    seconds: array[int]
    cpu: array[float]
    memory: array[float]


class Hour:
    """The samples of one hour of Unix time in chronological order."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seconds = array("H")  # since the beginning of the hour
        self.cpu = array("f")
        self.memory = array("f")
        self.saved = 0  # how many samples are in the archive

    def __len__(self) -> int:
        return len(self.seconds)

    def add(self, sample: Sample) -> None:
        """Insert one sample of this hour: at the end, unless the clock was set back."""
        if len(self) >= _HOUR_SAMPLES:
            return
        second = sample.timestamp - self.number * HOUR
        place = bisect_right(self.seconds, second)
        self.seconds.insert(place, second)
        self.cpu.insert(place, sample.cpu)
        self.memory.insert(place, sample.memory)

    def cut(self, start: float, end: float) -> slice:
        """Return the slice of samples from Unix time ``start`` to ``end``, both included."""
        base = self.number * HOUR
        return slice(bisect_left(self.seconds, start - base), bisect_right(self.seconds, end - base))

    def take(self, part: slice, shift: int) -> list[_Run]:
        """Remove the samples of one part and return them shifted by ``shift`` seconds."""
        found, base, place = [], self.number * HOUR + shift, part.start
        while place < part.stop:
            number = (base + self.seconds[place]) // HOUR
            stop = bisect_left(self.seconds, (number + 1) * HOUR - base, place, part.stop)
            seconds = array("H", (second + base - number * HOUR for second in self.seconds[place:stop]))
            found.append(_Run(number, seconds, self.cpu[place:stop], self.memory[place:stop]))
            place = stop
        for values in (self.seconds, self.cpu, self.memory):
            del values[part]
        # No length equals -1, so the store writes the hour again even if as many samples come as went.
        self.saved = -1
        return found

    def extend(self, run: _Run) -> None:
        """Insert samples of this hour."""
        # Nearly always the case; inserting them below would move all samples behind, once for each.
        if not self or self.seconds[-1] <= run.seconds[0]:
            self.seconds.extend(run.seconds)
            self.cpu.extend(run.cpu)
            self.memory.extend(run.memory)
        else:
            base = self.number * HOUR
            for second, cpu, memory in zip(run.seconds, run.cpu, run.memory, strict=True):
                self.add(Sample(base + second, cpu, memory))
        self.saved = -1

    def samples(self, part: slice) -> Iterator[Sample]:
        """Yield the samples of one part."""
        base = self.number * HOUR
        for seconds, cpu, memory in zip(self.seconds[part], self.cpu[part], self.memory[part], strict=True):
            yield Sample(base + seconds, cpu, memory)

    def means(self, part: slice, span: int) -> Iterator[Sample]:
        """Yield the mean of each ``span`` seconds in one part; spans without samples are skipped."""
        place = part.start
        while place < part.stop:
            begin = self.seconds[place] // span * span
            stop = bisect_left(self.seconds, begin + span, place, part.stop)
            count = stop - place
            cpu, memory = sum(self.cpu[place:stop]) / count, sum(self.memory[place:stop]) / count
            yield Sample(self.number * HOUR + begin, cpu, memory)
            place = stop


class History:
    """All series by name. Their number is bounded: a new one replaces the least recently updated one if that has ended.

    Otherwise it is not recorded: with more runtimes than places, each sample would drop the series that is due next.
    ``clock`` must be monotonic.
    """

    def __init__(
        self, *, max_series: int = 256, max_points: int = MAX_POINTS, clock: Callable[[], float] = boottime.now
    ) -> None:
        self._max_series = max_series
        self._max_points = max_points
        self._clock = clock
        self._series: dict[str, dict[int, Hour]] = {}
        self._updated_at: dict[str, float] = {}  # when each series had its last sample, or was restored

    def record(self, name: str, sample: Sample) -> bool:
        """Append one sample to a series, which is created with its first sample; False if there is no place for it."""
        if name not in self._series and not self._make_room():
            return False
        # Re-inserting keeps the dictionary in the order of the last update.
        hours = self._series.pop(name, {})
        self._series[name], self._updated_at[name] = hours, self._clock()
        number = sample.timestamp // HOUR
        if number not in hours:
            hours[number] = Hour(number)
            _drop_oldest(hours)
        hours[number].add(sample)
        return True

    def restore(self, name: str, hours: Iterable[Hour]) -> None:
        """Merge archived hours with those recorded since the start."""
        newer = self._series.get(name)
        # An archived series must not evict one that is being recorded.
        if newer is None and len(self._series) >= self._max_series:
            return
        # The archive does not contain the order of recording; that of the numbers comes closest.
        restored = {hour.number: hour for hour in sorted(hours, key=lambda hour: hour.number)}
        for number, hour in (newer or {}).items():
            # The hour of a restart is in both. It is put back at the end, as the one recorded last.
            if older := restored.pop(number, None):
                for sample in hour.samples(slice(None)):
                    older.add(sample)
            restored[number] = older or hour
        _drop_oldest(restored)
        self._series[name] = restored
        self._updated_at.setdefault(name, self._clock())

    def expire(self) -> None:
        """Drop the series without an update for 48 hours: their runtimes are gone."""
        # Not by timestamps: a clock that NTP sets ahead by decades would expire every series.
        for name in [name for name, at in self._updated_at.items() if self._clock() - at >= KEPT_HOURS * HOUR]:
            self._drop(name)

    def shift(self, name: str, start: float, end: float, seconds: int) -> None:
        """Move the samples from ``start`` to ``end`` by ``seconds``, as the clock was set after they were taken."""
        hours = self._series.get(name, {})
        # Take all samples before putting any back, or a sample moved into a later hour would be moved again.
        moved: list[_Run] = []
        for number, hour in list(hours.items()):
            part = hour.cut(start, end)
            if part.stop > part.start:
                moved += hour.take(part, seconds)
            if not hour:
                del hours[number]
        for run in moved:
            hours.setdefault(run.number, Hour(run.number)).extend(run)
        _drop_oldest(hours)

    def series(self) -> Mapping[str, Mapping[int, Hour]]:
        """Return the hours by series and number; read-only."""
        return self._series

    def query(self, name: str, start: float, end: float) -> list[Sample]:
        """Return the samples from ``start`` to ``end`` (Unix seconds, both included), oldest first.

        If there are more than ``max_points``, each point is the mean of a time span that divides the hour, with the
        span's first second as its time; spans without samples are skipped.
        """
        hours = self._series.get(name, {})
        parts = [(hours[number], hours[number].cut(start, end)) for number in sorted(hours)]
        if sum(part.stop - part.start for _, part in parts) <= self._max_points:
            return [sample for hour, part in parts for sample in hour.samples(part)]
        span = self._span(sum(1 for _, part in parts if part.stop > part.start))
        return [sample for hour, part in parts for sample in hour.means(part, span)]

    def _span(self, hours: int) -> int:
        return next((span for span in _SPANS if hours * HOUR // span <= self._max_points), HOUR)

    def _make_room(self) -> bool:
        """Return whether there is a place for another series, after dropping one if necessary."""
        if len(self._series) < self._max_series:
            return True
        oldest = next(iter(self._series))
        if self._clock() - self._updated_at[oldest] < ACTIVE_SECONDS:
            return False
        self._drop(oldest)
        return True

    def _drop(self, name: str) -> None:
        del self._series[name], self._updated_at[name]


def _drop_oldest(hours: dict[int, Hour]) -> None:
    """Keep the last 48 recorded hours and the current one."""
    # A dictionary keeps its order of insertion. By number, a boot in 1970 would drop the current hour at once.
    while len(hours) > KEPT_HOURS + 1:
        del hours[next(iter(hours))]
