"""What is kept of an answer: all of it in memory for a while, and the status of its RuntimeCommand.

A runtime's response is not stored: only its status code, and the size and a keyed digest of its body.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

from controller.api import runtimecommands
from controller.cloud.answers import Answer
from controller.cloud.commands.command import DigestKey

CACHE_BYTES = 16 << 20
CACHE_SECONDS = 600.0
_RESPONSE = "http_response"


class _Entry(NamedTuple):
    text: bytes
    expiry: asyncio.TimerHandle


class AnswerCache:
    """Complete answers for redeliveries: at most ``limit`` bytes of JSON, each for at most ``seconds``.

    The oldest are evicted first.
    """

    def __init__(self, limit: int = CACHE_BYTES, seconds: float = CACHE_SECONDS) -> None:
        self._limit = limit
        self._seconds = seconds
        self._entries: dict[str, _Entry] = {}
        self.bytes = 0

    def put(self, name: str, answer: Answer) -> None:
        """Keep an answer, unless it exceeds the limit on its own."""
        self._drop(name)
        # Kept as text, because the parsed answer takes several times its size.
        text = json.dumps(answer).encode()
        if len(text) > self._limit:
            return
        while self.bytes + len(text) > self._limit:
            self._drop(next(iter(self._entries)))
        expiry = asyncio.get_running_loop().call_later(self._seconds, self._drop, name)
        self._entries[name] = _Entry(text, expiry)
        self.bytes += len(text)

    def get(self, name: str) -> Answer | None:
        """The answer, or None if it is not or no longer kept."""
        entry = self._entries.get(name)
        answer: Answer | None = json.loads(entry.text) if entry else None
        return answer

    def _drop(self, name: str) -> None:
        if entry := self._entries.pop(name, None):
            entry.expiry.cancel()
            self.bytes -= len(entry.text)


def status(
    answer: Answer, outcome: runtimecommands.Phase, finished_at: str, key: DigestKey
) -> runtimecommands.RuntimeCommandStatus:
    """The status to record for an answered command."""
    own_words = {name: value for name, value in answer.items() if name != _RESPONSE}
    return runtimecommands.RuntimeCommandStatus(
        outcome=outcome,
        finished_at=finished_at,
        message=str(answer.get("error") or answer.get("message") or "")[:1024],
        answer=_bounded(own_words),
        **_facts(answer.get(_RESPONSE), key),
    )


def answer(command: dict[str, Any]) -> Answer | None:
    """The recorded answer, without the runtime's response; None if there is none."""
    found = command.get("status") or {}
    if not found.get("answer"):
        return None
    if (kept := _parsed(found["answer"])) is None:
        return None
    code = found.get("statusCode") or _code(kept.pop(_RESPONSE, None))  # version 0.1 stored it there
    return {**kept, _RESPONSE: _without_content(code)} if code else kept


def without_response(command: dict[str, Any]) -> dict[str, Any] | None:
    """The status patch that removes the response stored by version 0.1; None if there is none."""
    kept = _parsed((command.get("status") or {}).get("answer") or "")
    response = kept.pop(_RESPONSE, None) if kept else None
    if not kept or response is None:
        return None
    code = _code(response)
    return {"answer": json.dumps(kept), **({"statusCode": code} if code else {})}


def _facts(response: dict[str, Any] | None, key: DigestKey) -> dict[str, Any]:
    if response is None:
        return {}
    body = json.dumps(response.get("body"))
    return {"status_code": response["status_code"], "size": len(body), "digest": key.of(body)}


def _code(response: Any) -> int | None:
    """The status code of a response that version 0.1 stored; None if a person edited it into something else."""
    code = response.get("status_code") if isinstance(response, dict) else None
    return code if isinstance(code, int) else None


def _parsed(text: str) -> Answer | None:
    """The recorded answer; None if the text is not one, for example after a manual edit."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _without_content(code: int) -> dict[str, Any]:
    return {
        "status_code": code,
        "headers": {},
        "body": None,
        "ok": code < 400,
        "content_type": "",
        # Marked as cut, so that the missing body is not taken for an empty one.
        "truncated": True,
    }


def _bounded(own_words: Answer) -> str:
    """The answer as JSON text; an error message that is too long is cut."""
    text = json.dumps(own_words)
    if len(text) <= runtimecommands.ANSWER_LIMIT:
        return text
    # An eighth, because JSON escapes one character into six; the rest is for the other fields.
    return json.dumps({**own_words, "error": str(own_words.get("error"))[: runtimecommands.ANSWER_LIMIT // 8]})
