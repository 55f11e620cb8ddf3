"""The shapes that answers share. ``action`` and ``correlation_id`` are added by the dispatcher, to every one."""

from __future__ import annotations

from typing import Any

from controller import errors

Answer = dict[str, Any]

INTERNAL_ERROR = "the controller failed inside; its log tells more"


def error(sentence: str) -> Answer:
    """A failure that a person can act on."""
    return {"status": "error", "error": sentence}


def refusal(cause: errors.EdgeError) -> Answer:
    """The answer to a command that raised ``cause``; a broken contract lists every fault."""
    answer = error(str(cause))
    if isinstance(cause, errors.ContractError):
        answer["errors"] = [fault._asdict() for fault in cause.faults]
    return answer
