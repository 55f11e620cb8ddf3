"""Complete answers in memory, bounded in bytes and time, evicting the oldest first."""

from __future__ import annotations

import asyncio

from controller.cloud.commands.answer_cache import AnswerCache
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
