"""Messages of engines 20.10, 28 and 29 and of registries map to outcomes of a reconciliation."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from controller import errors
from controller.api import reasons
from controller.backends.docker.engine import failures
from controller.backends.docker.engine.failures import Refusal


class Message(NamedTuple):
    """A line of engine_words.txt."""

    when: str
    status: int
    outcome: type[errors.ReconcileError]
    reason: str
    text: str


def read(line: str) -> Message:
    """Parse one line."""
    when, status, outcome, reason, text = line.split(" ", 4)
    return Message(when, int(status), getattr(errors, outcome), reason, text)


LINES = Path(__file__).with_name("engine_words.txt").read_text().splitlines()
MESSAGES = [read(line) for line in LINES if not line.startswith("#")]


@pytest.mark.parametrize("message", MESSAGES, ids=[f"{row.when}-{row.reason}" for row in MESSAGES])
def test_messages_of_engines_map_to_reasons(message: Message) -> None:
    outcome = failures.outcome(
        Refusal(message.status, message.text), pulling="registry/plc:1" if message.when == "pull" else ""
    )

    assert (type(outcome), outcome.reason) == (message.outcome, message.reason)
    assert message.text[:40] in str(outcome)


@pytest.mark.parametrize(
    ("text", "of_spec", "reason", "remedy"),
    [
        (
            "IPv4 or IPv6 must be enabled",
            False,
            reasons.STEP_FAILED,
            "check default-network-opts in Docker's daemon.json",
        ),
        ("no matching subnet for gateway", True, reasons.SPEC_IMPOSSIBLE, "correct the spec or default-network-opts"),
        ("no space left on device", False, reasons.DISK_FULL, "free space"),
    ],
)
def test_a_network_that_the_engine_finds_invalid_may_be_a_fault_of_its_configuration(
    text: str, of_spec: bool, reason: str, remedy: str
) -> None:
    refused = failures.network_refused(Refusal(400, text), of_spec=of_spec)

    assert refused.reason == reason
    assert text in str(refused)
    assert remedy in str(refused)


def test_every_outcome_is_that_of_its_reason() -> None:
    kinds = {"waiting": errors.Waiting, "retry": errors.Retry, "stalled": errors.Stalled}
    table = {row.name: kinds[row.outcome] for row in reasons.TABLE if row.outcome in kinds}

    assert {message.reason: message.outcome for message in MESSAGES}.items() <= table.items()


def test_a_lingering_link_is_distinguished_from_an_address_conflict() -> None:
    texts = [message.text for message in MESSAGES if message.reason == reasons.ADDRESS_CONFLICT]

    assert [failures.is_lingering_link(Refusal(500, text)) for text in texts] == [False, True]


@pytest.mark.parametrize("text", ["toomanyrequests", "pull access denied", "manifest unknown", "connection refused"])
def test_a_failed_pull_names_the_image(text: str) -> None:
    reference = "registry.plant.example/plc/runtime:4.2@sha256:0123"
    assert reference in str(failures.outcome(Refusal(500, text), pulling=reference))


def test_a_long_message_is_truncated() -> None:
    assert len(str(failures.outcome(Refusal(500, "x " * 5000)))) < 600


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runc create failed: error setting rlimit type 14: operation not permitted: unknown", True),
        ("unable to apply caps: operation not permitted", True),
        ("no such file or directory", False),
    ],
)
def test_a_host_without_realtime_is_recognized(text: str, expected: bool) -> None:
    assert failures.is_realtime_refusal(Refusal(500, text)) is expected
