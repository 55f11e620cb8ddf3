"""Complete answers in memory, bounded in bytes and time, evicting the oldest first."""

from __future__ import annotations

import asyncio

from controller.cloud.commands.answer_memory import AnswerMemory
from tests.support import virtual_time

ANSWER = {"body": "x" * 88}  # 100 bytes of JSON


def put(memory: AnswerMemory, *names: str) -> None:
    for name in names:
        memory.put(name, ANSWER)


def held(memory: AnswerMemory, *names: str) -> list[str]:
    """The names among these whose answers are kept."""
    return [name for name in names if memory.get(name) == ANSWER]


async def test_the_oldest_answers_are_evicted() -> None:
    memory = AnswerMemory(limit=300)
    put(memory, "a", "b", "c", "d")
    assert held(memory, "a", "b", "c", "d") == ["b", "c", "d"]


async def test_an_answer_beyond_the_limit_is_not_kept_and_evicts_nothing() -> None:
    memory = AnswerMemory(limit=300)
    put(memory, "a")
    memory.put("b", {"body": "x" * 300})
    assert held(memory, "a", "b") == ["a"]
    assert memory.get("b") is None


async def test_an_answer_put_again_is_counted_once() -> None:
    memory = AnswerMemory(limit=300)
    put(memory, "a", "b", "b", "b")
    assert held(memory, "a", "b") == ["a", "b"]


def test_an_answer_is_kept_for_ten_minutes() -> None:
    async def scenario() -> None:
        memory = AnswerMemory()
        put(memory, "a")
        await asyncio.sleep(599)
        put(memory, "b")
        assert held(memory, "a", "b") == ["a", "b"]
        await asyncio.sleep(2)
        assert held(memory, "a", "b") == ["b"]
        assert memory.bytes == 100

    virtual_time.run(scenario())
