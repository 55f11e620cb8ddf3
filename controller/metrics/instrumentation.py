"""Wrappers that record duration and outcome of reconciles and commands without changing their behaviour."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from controller.metrics.prometheus import Metrics

P = ParamSpec("P")
Answer = dict[str, Any]


class _Outcome(Protocol):
    @property
    def kind(self) -> str: ...


class _Result(Protocol):
    @property
    def outcome(self) -> _Outcome: ...


R = TypeVar("R", bound=_Result)


def reconcile(work: Callable[P, Awaitable[R]], metrics: Metrics) -> Callable[P, Awaitable[R]]:
    """Wrap ``work`` to record its duration and outcome; an exception counts as ``error``."""

    async def counted(*arguments: P.args, **named: P.kwargs) -> R:
        began, outcome = time.monotonic(), "error"
        try:
            result = await work(*arguments, **named)
            outcome = result.outcome.kind
            return result
        finally:
            metrics.observe_reconcile(outcome, time.monotonic() - began)

    return counted


def dispatch(
    work: Callable[[str, list[Any]], Awaitable[Answer]], metrics: Metrics
) -> Callable[[str, list[Any]], Awaitable[Answer]]:
    """Wrap ``work`` to record its duration and outcome by topic."""

    async def counted(event: str, arguments: list[Any]) -> Answer:
        began = time.monotonic()
        answer = await work(event, arguments)
        outcome = "error" if answer.get("status") == "error" else "success"
        metrics.observe_command(event, outcome, time.monotonic() - began)
        return answer

    return counted
