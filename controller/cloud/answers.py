"""What every answer to the cloud has in common: its form, its limits, and how an exception becomes one.

The dispatcher adds ``action`` and ``correlation_id`` to each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from controller import errors

Answer = dict[str, Any]
Log = logging.Logger | logging.LoggerAdapter[logging.Logger]

INTERNAL_ERROR = "internal error of the controller: see its log"
CANCELLED = "the agent cancelled the command: query the device's status"
MAX_ANSWER = 900_000  # bytes; a Socket.IO server drops the connection above 1 MB
MAX_ERROR = 65_536  # characters; an error answer is always short enough to be sent
MAX_ID_BITS = 256
MAX_ID_CHARACTERS = 253


def error(sentence: str) -> Answer:
    """An error answer; ``sentence`` says what is wrong and what to do about it."""
    return {"status": "error", "error": sentence[:MAX_ERROR]}


def refusal(cause: errors.EdgeError) -> Answer:
    """The answer to a command that raised ``cause``; for a ContractError it lists every fault."""
    answer = error(str(cause))
    if isinstance(cause, errors.ContractError):
        answer["errors"] = [fault._asdict() for fault in cause.faults]
    return answer


def echo(event: str, arguments: Sequence[Any]) -> Answer:
    """``action`` and ``correlation_id`` as received; the latter is None if it cannot be sent back."""
    payload = arguments[0] if len(arguments) == 1 else None
    received = payload.get("correlation_id") if isinstance(payload, dict) else None
    return {"action": event, "correlation_id": received if _can_be_sent(received) else None}


def sendable(answer: Answer) -> Answer:
    """Return the answer unchanged. Raises errors.CommandError if it is too large or not JSON."""
    try:
        # Python would write NaN and Infinity, which are not JSON (RFC 8259 section 6). The text is ASCII, so characters
        # are bytes.
        size = len(json.dumps(answer, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as fault:
        raise errors.CommandError(f"the answer cannot be sent as JSON: {fault}") from fault
    if size > MAX_ANSWER:
        raise errors.CommandError(f"the answer has {size} bytes and the link carries {MAX_ANSWER}: ask for less")
    return answer


class AlreadyAnswered(Exception):  # noqa: N818 - not an error: unwinds a command that was answered before
    """Carries the earlier answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the command was already answered")
        self.answer = answer


class Guard:
    """A context whose body sets ``answer``; if it raises an Exception, that becomes the answer instead.

    Cancelling the task itself passes, as does anything that ends the process.
    """

    def __init__(self, topic: str, log: Log) -> None:
        self.answer = error(INTERNAL_ERROR)
        self._topic = topic
        self._log = log

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, _: type[BaseException] | None, raised: BaseException | None, __: TracebackType | None) -> bool:
        match raised:
            case AlreadyAnswered():
                self.answer = raised.answer
            case errors.EdgeError():
                self._log.info("Refused %s: %s", self._topic, raised)
                self.answer = refusal(raised)
            case asyncio.CancelledError() if not _is_being_cancelled():  # what it awaited was cancelled
                self._log.warning("Cancelled %s", self._topic)
                self.answer = error(CANCELLED)
            case Exception():
                self._log.error("Failed to answer %s", self._topic, exc_info=raised)
                self.answer = error(INTERNAL_ERROR)
            case _:
                return False
        return True


def _is_being_cancelled() -> bool:
    """Whether this task itself is being cancelled, rather than something it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _can_be_sent(received: Any) -> bool:
    if isinstance(received, float):
        return math.isfinite(received)
    if isinstance(received, int):
        return received.bit_length() <= MAX_ID_BITS
    return isinstance(received, str) and len(received) <= MAX_ID_CHARACTERS
