"""Turns every incoming event into an answer that the link can send: valid JSON, bounded in size, never an exception.

It calls the dispatcher; sending the answer is up to the connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from controller.cloud.echo import echo
from controller.cloud.packets import Incoming
from controller.errors import CommandError, EdgeError

Dispatch = Callable[[str, list[Any]], Awaitable[dict[str, Any]]]

MAX_IN_FLIGHT = 256
MAX_ANSWER = 900_000  # bytes; a Socket.IO server drops the connection above 1 MB

log = logging.getLogger(__name__)


class Answers:
    """Answers events through ``dispatch``, at most ``max_in_flight`` at a time."""

    def __init__(self, dispatch: Dispatch, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._dispatch = dispatch
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    async def answer(self, event: Incoming) -> dict[str, Any]:
        """Return the answer to one event. Calls ``dispatch`` before the first await, which keeps events in order."""
        self._in_flight += 1
        try:
            if self._in_flight > self._max_in_flight:
                raise CommandError(f"the agent is busy with {self._max_in_flight} commands: send it again later")
            if event.fault:
                raise CommandError(event.fault)
            return _sendable(await self._dispatch(event.name, event.arguments))
        except EdgeError as error:
            log.warning("Refused %s: %s", event.name, error)
            return _refusal(event, str(error))
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            return _refusal(event, "the agent cancelled the command: query the device's status")
        except Exception:
            log.exception("Failed to answer %s", event.name)
            return _refusal(event, "the agent failed on this command; its log says why")
        finally:
            self._in_flight -= 1


def _is_being_cancelled() -> bool:
    """Whether this task itself is being cancelled, rather than something it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _sendable(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer unchanged. Raises CommandError if it is too large or not JSON."""
    try:
        size = len(json.dumps(answer, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise CommandError(f"the answer cannot be sent as JSON: {error}") from error
    if size > MAX_ANSWER:
        raise CommandError(f"the answer has {size} bytes and the link carries {MAX_ANSWER}: ask for less")
    return answer


def _refusal(event: Incoming, error: str) -> dict[str, Any]:
    """An error answer as docs/protocol.md defines it."""
    return {**echo(event.name, event.arguments), "status": "error", "error": error}
