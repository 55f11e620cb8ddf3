"""The cloud's side of commands: each is sent until it is answered, as a cloud does that lost the link."""

from __future__ import annotations

import time
from typing import Any

from controller import errors
from tests.soak.site import Site
from tests.support.edge_host import AGENT

ANSWER_SECONDS = 60.0
DELIVERY_SECONDS = 300.0

Answer = dict[str, Any]


class Unanswered(Exception):  # noqa: N818 - an outcome
    """A command had no answer within DELIVERY_SECONDS, whatever the link did."""


class Deliveries:
    """Sends commands, the same message again after a lost link, and reports silence as a fault."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def send(self, topic: str, **fields: Any) -> Answer:
        """Deliver one command and return its answer. Raises Unanswered."""
        message = self._site.edge.message(topic, **fields)
        deadline = time.monotonic() + DELIVERY_SECONDS
        while time.monotonic() < deadline:
            began = time.monotonic()
            try:
                await self._site.cloud.wait_agent(AGENT, timeout=ANSWER_SECONDS)
                answer: Answer = await self._site.cloud.send(AGENT, topic, message, timeout=ANSWER_SECONDS)
            except errors.LinkError as error:
                self._lost(topic, str(error), began)
                continue
            self._site.findings.count("commands answered")
            return answer
        self._site.findings.fault(f"{topic} {fields} had no answer within {DELIVERY_SECONDS:.0f} s")
        raise Unanswered(topic)

    def _lost(self, topic: str, problem: str, began: float) -> None:
        self._site.findings.count("commands sent again after a lost link")
        if "did not answer" in problem and not self._site.relay.was_frozen_since(began):
            self._site.findings.fault(f"{topic}: {problem} over a link that worked")
