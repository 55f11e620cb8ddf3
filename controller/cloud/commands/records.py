"""What a RuntimeCommand keeps of an answer, and the answer that is given from it again. Pure.

Nothing that a runtime sent is kept: of its HTTP answer the status code, and the size and a keyed digest of the body.
"""

from __future__ import annotations

import json
from typing import Any

from controller.api import runtimecommands
from controller.cloud.commands.answers import Answer
from controller.cloud.commands.seal import Seal

_RESPONSE = "http_response"


def status(
    answer: Answer, outcome: runtimecommands.Phase, finished_at: str, seal: Seal
) -> runtimecommands.RuntimeCommandStatus:
    """The status of a command that was answered."""
    own_words = {name: value for name, value in answer.items() if name != _RESPONSE}
    return runtimecommands.RuntimeCommandStatus(
        outcome=outcome,
        finished_at=finished_at,
        message=str(answer.get("error") or answer.get("message") or "")[:1024],
        answer=_bounded(own_words),
        **_facts(answer.get(_RESPONSE), seal),
    )


def answer(command: dict[str, Any]) -> Answer | None:
    """The answer that was given, as far as it is kept; None before there is one."""
    found = command.get("status") or {}
    if not found.get("answer"):
        return None
    if (kept := _parsed(found["answer"])) is None:
        return None
    response = kept.pop(_RESPONSE, None) or {}  # 0.1 kept it here
    code = found.get("statusCode") or response.get("status_code")
    return {**kept, _RESPONSE: _without_content(code)} if code else kept


def without_response(command: dict[str, Any]) -> dict[str, Any] | None:
    """What to change in the status of a command of 0.1 that holds what a runtime sent; None where it does not."""
    kept = _parsed((command.get("status") or {}).get("answer") or "")
    response = kept.pop(_RESPONSE, None) if kept else None
    if not kept or response is None:
        return None
    code = response.get("status_code")
    return {"answer": json.dumps(kept), **({"statusCode": code} if isinstance(code, int) else {})}


def _facts(response: dict[str, Any] | None, seal: Seal) -> dict[str, Any]:
    if response is None:
        return {}
    body = json.dumps(response.get("body"))
    return {"status_code": response["status_code"], "size": len(body), "digest": seal.of(body)}


def _parsed(text: str) -> Answer | None:
    """An answer as it is kept; None for what is not one, such as what a person wrote there."""
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
    """The answer as JSON text; a sentence that is too long is cut."""
    text = json.dumps(own_words)
    if len(text) <= runtimecommands.ANSWER_LIMIT:
        return text
    return json.dumps({**own_words, "error": str(own_words.get("error"))[: runtimecommands.ANSWER_LIMIT // 8]})
