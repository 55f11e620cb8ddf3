"""What is kept of an answer: all of it in memory, bounded in bytes and time, and its status without secrets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from controller.api.runtimecommands import ANSWER_LIMIT
from controller.cloud.commands import records
from controller.cloud.commands.command import DigestKey
from controller.cloud.commands.records import AnswerCache
from tests.support import virtual_time

ANSWER = {"body": "x" * 88}  # 100 bytes of JSON


def put(cache: AnswerCache, *names: str) -> None:
    for name in names:
        cache.put(name, ANSWER)


def cached(cache: AnswerCache, *names: str) -> list[str]:
    """The names among these whose answers are kept."""
    return [name for name in names if cache.get(name) == ANSWER]


async def test_the_oldest_answers_are_evicted() -> None:
    cache = AnswerCache(limit=300)
    put(cache, "a", "b", "c", "d")
    assert cached(cache, "a", "b", "c", "d") == ["b", "c", "d"]


async def test_an_answer_beyond_the_limit_is_not_kept_and_evicts_nothing() -> None:
    cache = AnswerCache(limit=300)
    put(cache, "a")
    cache.put("b", {"body": "x" * 300})
    assert cached(cache, "a", "b") == ["a"]
    assert cache.get("b") is None


async def test_an_answer_put_again_is_counted_once() -> None:
    cache = AnswerCache(limit=300)
    put(cache, "a", "b", "b", "b")
    assert cached(cache, "a", "b") == ["a", "b"]


def test_an_answer_is_kept_for_ten_minutes() -> None:
    async def scenario() -> None:
        cache = AnswerCache()
        put(cache, "a")
        await asyncio.sleep(599)
        put(cache, "b")
        assert cached(cache, "a", "b") == ["a", "b"]
        await asyncio.sleep(2)
        assert cached(cache, "a", "b") == ["b"]
        assert cache.bytes == 100

    virtual_time.run(scenario())


def recorded(answer: Any, **status: Any) -> dict[str, Any]:
    """A RuntimeCommand with this answer, as JSON or as the text given."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return {"status": {"answer": text, **status}}


def test_a_response_is_recorded_without_its_content() -> None:
    response = {"status_code": 401, "headers": {"Set-Cookie": "secret"}, "body": "secret", "ok": False}
    status = records.status({"status": "error", "http_response": response}, "Failed", "now", DigestKey(b"key")).wire()
    assert "secret" not in json.dumps(status)
    assert (status["outcome"], status["statusCode"], status["size"]) == ("Failed", 401, len('"secret"'))
    answer = records.answer({"status": status})
    assert answer is not None
    assert (answer["status"], answer["http_response"]["status_code"]) == ("error", 401)
    assert (answer["http_response"]["ok"], answer["http_response"]["body"]) == (False, None)


def test_a_long_error_is_cut_until_it_can_be_recorded() -> None:
    status = records.status({"status": "error", "error": "\u20ac" * ANSWER_LIMIT}, "Failed", "now", DigestKey(b"key"))
    assert status.answer is not None
    assert len(status.answer) <= ANSWER_LIMIT
    assert json.loads(status.answer)["error"].startswith("\u20ac")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", "[" * 60_000, '{"a":' * 10_000])
def test_an_answer_that_a_person_edited_into_something_else_is_none(text: str) -> None:
    assert records.answer(recorded(text)) is None
    assert records.without_response(recorded(text)) is None


@pytest.mark.parametrize("response", ["text", [], 5, {}, {"status_code": "200"}, {"status_code": None}])
def test_a_response_that_a_person_edited_into_something_else_is_removed(response: Any) -> None:
    command = recorded({"status": "success", "http_response": response})
    assert records.answer(command) == {"status": "success"}
    assert records.without_response(command) == {"answer": '{"status": "success"}'}


@pytest.mark.parametrize("command", [{}, {"status": None}, {"status": {}}])
def test_a_command_without_a_status_has_no_answer(command: dict[str, Any]) -> None:
    assert records.answer(command) is None
    assert records.without_response(command) is None
