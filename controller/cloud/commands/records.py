"""Converts answers to the status of a RuntimeCommand and back. Pure.

A runtime's response is not stored: only its status code, and the size and a keyed digest of its body.
"""

from __future__ import annotations

import json
from typing import Any

from controller.api import runtimecommands
from controller.cloud.answers import Answer
from controller.cloud.commands.digest_key import DigestKey

_RESPONSE = "http_response"


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
    response = kept.pop(_RESPONSE, None) or {}  # version 0.1 stored it here
    code = found.get("statusCode") or response.get("status_code")
    return {**kept, _RESPONSE: _without_content(code)} if code else kept


def without_response(command: dict[str, Any]) -> dict[str, Any] | None:
    """The status patch that removes the response stored by version 0.1; None if there is none."""
    kept = _parsed((command.get("status") or {}).get("answer") or "")
    response = kept.pop(_RESPONSE, None) if kept else None
    if not kept or response is None:
        return None
    code = response.get("status_code")
    return {"answer": json.dumps(kept), **({"statusCode": code} if isinstance(code, int) else {})}


def _facts(response: dict[str, Any] | None, key: DigestKey) -> dict[str, Any]:
    if response is None:
        return {}
    body = json.dumps(response.get("body"))
    return {"status_code": response["status_code"], "size": len(body), "digest": key.of(body)}


def _parsed(text: str) -> Answer | None:
    """The recorded answer; None if the text is not one, for example after a manual edit."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _without_content(code: int) -> dict[str, Any]:
    return {
        "status_code": code,
        "headers": {},
        "body": None,
        "ok": code < 400,
        "content_type": "",
        "truncated": True,
    }


def _bounded(own_words: Answer) -> str:
    """The answer as JSON text; an error message that is too long is cut."""
    text = json.dumps(own_words)
    if len(text) <= runtimecommands.ANSWER_LIMIT:
        return text
    return json.dumps({**own_words, "error": str(own_words.get("error"))[: runtimecommands.ANSWER_LIMIT // 8]})
