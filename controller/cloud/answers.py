"""From one incoming event to the object that answers it: never an exception, never too large, always JSON.

It calls the dispatcher and sends nothing itself.
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

MOST_AT_ONCE = 256
MAX_ANSWER = 900_000  # bytes; a Socket.IO server drops the connection above 1 MB

log = logging.getLogger(__name__)


class Answers:
    """Answers events through ``dispatch``, at most ``most_at_once`` of them at a time."""

    def __init__(self, dispatch: Dispatch, most_at_once: int = MOST_AT_ONCE) -> None:
        self._dispatch = dispatch
        self._most_at_once = most_at_once
        self._under_way = 0

    async def to(self, event: Incoming) -> dict[str, Any]:
        """The answer to one event. Dispatching starts before anything is awaited: events stay in order."""
        self._under_way += 1
        try:
            if self._under_way > self._most_at_once:
                raise CommandError(f"the agent is busy with {self._most_at_once} commands: send it again later")
            if event.fault:
                raise CommandError(event.fault)
            return _sendable(await self._dispatch(event.name, event.arguments))
        except EdgeError as error:
            log.warning("%s refused: %s", event.name, error)
            return _refusal(event, str(error))
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            return _refusal(event, "the command was given up inside the agent: ask for the device's status")
        except Exception:
            log.exception("%s failed", event.name)
            return _refusal(event, "the agent failed on this command; its log says why")
        finally:
            self._under_way -= 1


def _is_being_cancelled() -> bool:
    """Whether it is this task that is cancelled, not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _sendable(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, when the link can carry it. Raises CommandError when it is too large or is not JSON."""
    try:
        size = len(json.dumps(answer, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise CommandError(f"the answer cannot be sent as JSON: {error}") from error
    if size > MAX_ANSWER:
        raise CommandError(f"the answer has {size} bytes and the link carries {MAX_ANSWER}: ask for less")
    return answer


def _refusal(event: Incoming, error: str) -> dict[str, Any]:
    """An error answer (protocol: Link)."""
    return {**echo(event.name, event.arguments), "status": "error", "error": error}
