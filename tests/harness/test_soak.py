"""The soak's judges see a broken promise, and its malformed input does nothing."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest

from tests.soak import hostile, junk, leaks
from tests.soak.findings import Findings
from tests.soak.leaks import Inventory, Weight
from tests.soak.relay import Relay
from tests.soak.work import Life, Wrong

KEY = "plc-1-1"


def site(container: str, log: str) -> Any:
    """A site whose engine has one container with this log."""
    client = SimpleNamespace(inspect_container=lambda _: {"Id": container}, logs=lambda _: log.encode())

    async def ask(question: Any) -> Any:
        return question(client)

    return SimpleNamespace(ask=ask)


def life(*, starts: int = 1, uncertain: int = 0, answered: bool = True) -> Life:
    """A runtime that was started and got one request."""
    found = Life("plc-1", "id-1")
    found.starts, found.uncertain_starts, found.answers = starts, uncertain, {KEY: answered}
    return found


STARTED, DONE = "control server ready\n", f"did {KEY}\n"


@pytest.mark.parametrize(
    ("lived", "log"),
    [
        (life(), STARTED + DONE),
        (life(starts=2), STARTED + DONE + STARTED),
        (life(starts=2, uncertain=1), 3 * STARTED + DONE),
        (life(answered=False), STARTED),
        (life(answered=False), STARTED + DONE),
    ],
)
async def test_a_life_that_matches_its_answers_is_right(lived: Life, log: str) -> None:
    await lived.judge(site("id-1", log))


@pytest.mark.parametrize(
    ("lived", "container", "log", "found"),
    [
        (life(), "id-2", STARTED + DONE, "replaced"),
        (life(), "id-1", 2 * STARTED + DONE, "started 2 times, not 1"),
        (life(starts=2), "id-1", STARTED + DONE, "started 1 times, not 2"),
        (life(), "id-1", STARTED, "done 0 times"),
        (life(answered=False), "id-1", STARTED + 2 * DONE, "done 2 times"),
    ],
)
async def test_a_life_that_differs_from_its_answers_is_wrong(lived: Life, container: str, log: str, found: str) -> None:
    with pytest.raises(Wrong, match=found):
        await lived.judge(site(container, log))


def test_what_is_left_behind_is_named() -> None:
    before = Inventory(frozenset({"resident-0"}), frozenset(), frozenset({"br-1"}), frozenset({"lock"}))
    after = Inventory(frozenset({"resident-0", "plc-1"}), frozenset({"net"}), frozenset(), frozenset({"lock", "a.tmp"}))
    assert leaks.left_behind(before, after) == [
        "containers left behind: plc-1",
        "networks left behind: net",
        "files left behind: a.tmp",
    ]
    assert leaks.left_behind(before, before) == []


def test_what_has_grown_is_named() -> None:
    assert leaks.grown(Weight(1, 20, 10, 1), Weight(1, 30, 20, 1)) == []
    assert leaks.grown(Weight(1, 20, 10, 1), Weight(1, 31, 21, 2)) == [
        "11 more descriptors",
        "11 more threads",
        "1 more network namespaces held",
    ]


def test_a_malformed_message_names_no_runtime_and_never_retires_the_agent() -> None:
    chance = random.Random(1)
    for number in range(5000):
        topic, payload = junk.message(chance, number)
        whole = payload if isinstance(payload, dict) else {}
        assert {whole.get("device_id", "ghost"), whole.get("container_name", "-never-")} == {"ghost", "-never-"}
        assert topic != "delete_orchestrator" or whole["action"] != topic


def test_malformed_input_is_the_same_for_the_same_seed() -> None:
    first, second = random.Random(7), random.Random(7)
    assert [junk.message(first, n) for n in range(50)] == [junk.message(second, n) for n in range(50)]
    assert [junk.body(first, hostile.GOOD) for _ in range(50)] == [junk.body(second, hostile.GOOD) for _ in range(50)]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"action": "stop_device", "correlation_id": 1, "status": "error", "error": "no such device"}, ""),
        (None, "not an object"),
        ({"action": "start_device", "correlation_id": 1}, "without action or correlation_id"),
        ({"action": "stop_device", "correlation_id": 1, "status": "error"}, "no error says why"),
        ({"action": "stop_device", "correlation_id": 1, "status": "fine"}, "with an unknown status"),
    ],
)
def test_an_answer_outside_the_contract_is_a_fault(answer: Any, fault: str) -> None:
    assert hostile.answer_fault("stop_device", answer) == fault


async def test_a_frozen_relay_keeps_its_connections_and_passes_nothing_on() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Relay(server.sockets[0].getsockname()[1]) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"

        relay.freeze()
        writer.write(b"after")
        answer = asyncio.ensure_future(reader.readexactly(5))
        done, _ = await asyncio.wait({answer}, timeout=0.2)
        assert not done

        relay.thaw()
        assert await answer == b"after"
        writer.close()


def test_a_fault_is_printed_at_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    findings = Findings()
    findings.fault("plc-1 was replaced")
    assert "plc-1 was replaced" in capsys.readouterr().err
    assert findings.counts["findings"] == len(findings.faults) == 1
