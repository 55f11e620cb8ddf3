"""Mixed work: lanes that create, stop, start, restart, ask and delete runtimes, and hold the controller to its answers.

The engine and the program are the judges: the program prints a line at each of its starts and for each request that
asks for one, so that its log tells how often something was really done.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import docker

from tests.soak.deliveries import Answer, Deliveries, Unanswered
from tests.soak.site import Site

PATIENCE_SECONDS = 240.0  # longer than any fault and the repair after it
PAUSE_SECONDS = 0.5
STARTED = b"control server ready"


class Wrong(Exception):  # noqa: N818 - an outcome
    """The controller did something else than it answered; the message is the finding."""


class Lane:
    """One runtime after the other, at one address."""

    def __init__(self, site: Site, number: int, chance: random.Random) -> None:
        self._site = site
        self._deliveries = Deliveries(site)
        self._lane = number
        self._chance = chance
        self._made = 0

    async def run(self, until: float) -> None:
        """Work until this moment (CLOCK_MONOTONIC), and end with nothing left."""
        while time.monotonic() < until:
            self._made += 1
            name = f"soak-{self._lane}-{self._made}"
            try:
                await self._life(name)
            except Unanswered:
                continue
            except Wrong as found:
                self._site.findings.fault(f"{name}: {found}")
                await self._delete(name)

    async def _life(self, name: str) -> None:
        await self._create(name)
        life = Life(name, await self._site.ask(lambda client: client.inspect_container(name)["Id"]))
        for _ in range(self._chance.randint(1, 4)):
            act = self._chance.choice((self._stop_and_start, self._restart, self._request, self._request))
            await act(life)
        await life.judge(self._site)
        await self._delete(name)
        self._site.findings.count("runtimes created, used and deleted")

    async def _create(self, name: str) -> None:
        interface = {
            "name": "lan0",
            "parent_interface": self._site.lan.parent,
            "network_mode": "static",
            "ip": self._site.lan.address(100 + self._lane),
            "subnet": str(self._site.lan.subnet),
            "gateway": self._site.lan.gateway,
        }
        await self._accepted("creating", "create_new_runtime", container_name=name, vnic_configs=[interface])
        await self._until(name, lambda answer: answer.get("is_running") and answer["status"] == "success", "running")

    async def _stop_and_start(self, life: Life) -> None:
        await self._accepted("success", "stop_device", device_id=life.name)
        if await self._site.ask(lambda client: client.inspect_container(life.name)["State"]["Running"]):
            raise Wrong("stop_device was answered with success, but the program runs")
        await self._start(life, "start_device")

    async def _restart(self, life: Life) -> None:
        await self._start(life, "restart_device")

    async def _start(self, life: Life, topic: str) -> None:
        tries = await self._accepted("success", topic, device_id=life.name)
        life.starts += 1
        life.uncertain_starts += tries - 1

    async def _request(self, life: Life) -> None:
        """A request that acts: at most once, and exactly once if it was answered with success."""
        life.requests += 1
        key = f"{life.name}-{life.requests}"
        answer = await self._deliveries.send(
            "run_command", device_id=life.name, method="POST", api=f"/api/do/{key}", port=8443
        )
        life.answers[key] = answer["status"] == "success"

    async def _delete(self, name: str) -> None:
        await self._accepted("deleting", "delete_device", device_id=name)
        await self._until(name, lambda answer: answer["status"] == "not_found", "gone")
        try:
            await self._site.ask(lambda client: client.inspect_container(name))
        except docker.errors.NotFound:
            return
        self._site.findings.fault(f"{name} is not_found, but its container is there")

    async def _accepted(self, status: str, topic: str, **fields: Any) -> int:
        """Send until it is answered with this status; return how many commands that took. Raises Wrong."""
        deadline, tries = time.monotonic() + PATIENCE_SECONDS, 0
        while True:
            tries += 1
            answer = await self._deliveries.send(topic, **fields)
            if answer["status"] == status or (status == "deleting" and "no device" in str(answer.get("error"))):
                return tries
            self._refused(deadline, f"{topic} is refused", answer)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _until(self, name: str, holds: Any, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(answer := await self._deliveries.send("get_device_status", device_id=name)):
            self._refused(deadline, f"it is not {what}", answer)
            await asyncio.sleep(PAUSE_SECONDS)

    def _refused(self, deadline: float, what: str, answer: Answer) -> None:
        if time.monotonic() > deadline:
            raise Wrong(f"{what} after {PATIENCE_SECONDS:.0f} s: {answer}")


class Life:
    """What was asked of one runtime and answered, beside what its container shows."""

    def __init__(self, name: str, container: str) -> None:
        self.name = name
        self.starts, self.uncertain_starts = 1, 0
        self.requests = 0
        self.answers: dict[str, bool] = {}
        self._container = container

    async def judge(self, site: Site) -> None:
        """Compare. Raises Wrong."""
        container = await site.ask(lambda client: client.inspect_container(self.name)["Id"])
        if container != self._container:
            raise Wrong("its container was replaced")
        log: bytes = await site.ask(lambda client: client.logs(self.name))
        started = log.count(STARTED)
        if not self.starts <= started <= self.starts + self.uncertain_starts:
            raise Wrong(f"it started {started} times, not {self.starts} (+ at most {self.uncertain_starts})")
        for key, succeeded in self.answers.items():
            done = log.count(f"did {key}\n".encode())
            if done > 1 or (succeeded and done != 1):
                raise Wrong(f"request {key} was done {done} times, answered with success: {succeeded}")
