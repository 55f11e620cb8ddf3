"""The history's files: ``<directory>/<series>/<hour>.bin``, each written atomically once an hour.

A file is a magic line and a zlib stream (which has a checksum) of three packed little-endian arrays: seconds within
the hour (uint16), CPU and memory (float32). Blocking: runs in the history store's thread.
"""

from __future__ import annotations

import logging
import sys
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from controller import files
from controller.metrics.history import HOUR, Hour

logger = logging.getLogger(__name__)

_MAGIC = b"edge history 1\n"
_SAMPLE_BYTES = 2 + 4 + 4
_MAX_BYTES = 1 << 16  # an hour takes 7 kB


class Archive:
    """The hours of all series on disk. An unreadable file only loses its hour and is logged."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def load(self) -> dict[str, list[Hour]]:
        """Return all hours by series; a damaged hour is empty."""
        found: dict[str, list[Hour]] = {}
        for path in self._files():
            number = int(path.stem)
            try:
                hour = _decode(number, path.read_bytes())
            except OSError as error:
                # Not an empty hour, as below: the store removes the files of these, and this one may be readable later.
                logger.warning("Skipping one hour of history: cannot read %s: %s", path, error)
                continue
            except ValueError as error:
                logger.warning("Lost one hour of history: cannot decode %s: %s", path, error)
                hour = Hour(number)
            found.setdefault(unquote(path.parent.name), []).append(hour)
        return found

    def write(self, series: str, number: int, packed: bytes) -> None:
        """Write one packed hour durably. Raises OSError; the previous file is then unchanged."""
        path = self._path(series, number)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_secret(path, _MAGIC + zlib.compress(packed))

    def remove(self, series: str, number: int) -> None:
        """Remove one hour. Raises OSError."""
        self._path(series, number).unlink(missing_ok=True)

    def clean_up(self) -> None:
        """Remove partial files left by a power cut, and empty folders. Raises OSError."""
        for directory in self._series():
            # The second pattern matches the temporary files of files.write_secret.
            for leftover in (*directory.glob("*.tmp"), *directory.glob(".*.bin.*")):
                leftover.unlink(missing_ok=True)
            if not any(directory.iterdir()):
                directory.rmdir()

    def _path(self, series: str, number: int) -> Path:
        # Names of series contain slashes and what people chose; quoted, each is one folder below the directory.
        return self._directory / quote(series, safe="") / f"{number}.bin"

    def _series(self) -> list[Path]:
        return [path for path in self._directory.iterdir() if path.is_dir()] if self._directory.is_dir() else []

    def _files(self) -> Iterator[Path]:
        for directory in self._series():
            for path in directory.glob("*.bin"):
                # isdecimal() alone also accepts the digits of other scripts, which write() never produces.
                if path.stem.isascii() and path.stem.isdecimal():
                    yield path


def pack(hour: Hour) -> bytes:
    """Pack the current samples of an hour for write()."""
    return b"".join(_little_endian(values) for values in _arrays(hour))


def _decode(number: int, content: bytes) -> Hour:
    """Decode a file's hour. Raises ValueError when write() did not produce the file."""
    if not content.startswith(_MAGIC):
        raise ValueError("not a history file of this version")
    try:
        # Bounded, because a damaged or foreign file may expand to a thousand times its size.
        stream = zlib.decompressobj()
        data = stream.decompress(content[len(_MAGIC) :], _MAX_BYTES)
    except zlib.error as error:
        raise ValueError("it is damaged") from error
    count, rest = divmod(len(data), _SAMPLE_BYTES)
    hour = Hour(number)
    # The end of the stream is its checksum, without which zlib returns what it has, right or wrong.
    if rest or not stream.eof:
        raise ValueError("it is damaged")
    for values in _arrays(hour):
        size = values.itemsize * count
        values.frombytes(data[:size])
        data = data[size:]
        _swap(values)
    # Queries bisect the seconds, which must therefore be in order.
    if list(hour.seconds) != sorted(hour.seconds) or (count and hour.seconds[-1] >= HOUR):
        raise ValueError("it is damaged")
    hour.saved = count
    return hour


def _arrays(hour: Hour) -> tuple[array[int] | array[float], ...]:
    return hour.seconds, hour.cpu, hour.memory


def _little_endian(values: array[int] | array[float]) -> bytes:
    # byteswap() works in place, and the history still uses the array.
    copy = values[:]
    _swap(copy)
    return copy.tobytes()


def _swap(values: array[int] | array[float]) -> None:
    if sys.byteorder == "big":
        values.byteswap()
