"""Common forms of answers. The dispatcher adds ``action`` and ``correlation_id`` to each."""

from __future__ import annotations

from typing import Any

from controller import errors

Answer = dict[str, Any]

INTERNAL_ERROR = "internal error of the controller: see its log"


def error(sentence: str) -> Answer:
    """An error answer; ``sentence`` says what is wrong and what to do about it."""
    return {"status": "error", "error": sentence}


def refusal(cause: errors.EdgeError) -> Answer:
    """The answer to a command that raised ``cause``; for a ContractError it lists every fault."""
    answer = error(str(cause))
    if isinstance(cause, errors.ContractError):
        answer["errors"] = [fault._asdict() for fault in cause.faults]
    return answer
