"""The log: one entry is one line, whatever strangers send, and strangers cannot fill the disk with it."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli import logging as logs
from controller.cloud import answers

FORGED = "x\n2026-11-27T00:00:00.000Z INFO    API write [user=admin verb=delete]"


def entry(message: str, **fields: object) -> logging.LogRecord:
    """A record."""
    record = logging.LogRecord("edge", logging.INFO, "", 0, "%s", (message,), None)
    vars(record).update(fields)
    return record


@pytest.mark.parametrize("formatter", [logs.ConsoleFormatter(), logs.JsonFormatter()])
@given(message=st.text(), name=st.text())
def test_an_entry_is_one_line_of_printable_characters(formatter: logging.Formatter, message: str, name: str) -> None:
    assert formatter.format(entry(message, object=name)).isprintable()


@pytest.mark.parametrize("char", "\n\r\t\x00\x1b\x7f\x85\u2028\u2029\u202e\u2066\u200f\udcff")
def test_what_ends_a_line_or_turns_it_is_escaped(char: str) -> None:
    for formatter in (logs.ConsoleFormatter(), logs.JsonFormatter()):
        assert char not in formatter.format(entry(f"a{char}b", agent=f"a{char}b"))


def test_a_field_cannot_pass_for_others() -> None:
    line = logs.ConsoleFormatter().format(entry("API write", object='x user=admin] "', agent=FORGED, user="viewer"))
    assert line.endswith(
        r'[user=viewer object="x user=admin] \"" '
        r'agent="x\n2026-11-27T00:00:00.000Z INFO    API write [user=admin verb=delete]"]'
    )


def test_an_exception_is_below_its_entry_and_cannot_pass_for_another() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        record = logging.LogRecord("edge", logging.ERROR, "", 0, "Failed", (), sys.exc_info())
    first, *others = logs.ConsoleFormatter().format(record).split("\n")
    assert first.endswith("ERROR   Failed")
    assert all(line.startswith("    ") for line in others)
    assert "\n" not in logs.JsonFormatter().format(record)


def test_long_texts_are_cut() -> None:
    record = entry("m" * 100_000, object="o" * 100_000)
    assert len(logs.ConsoleFormatter().format(record)) < 5000
    assert len(json.loads(logs.JsonFormatter().format(record))["object"]) < 600


def test_strangers_are_told_of_once_a_minute_with_their_number() -> None:
    now = [0.0]
    paced = logs.Paced(lambda record: "kind" if record.getMessage() == "paced" else None, lambda: now[0])
    reported = [paced.filter(entry("paced")) for _ in range(1000)]
    assert (reported[0], any(reported[1:])) == (True, False)
    assert paced.filter(entry("other"))
    now[0] = logs.PACE_SECONDS
    later = entry("paced")
    assert paced.filter(later)
    assert "[held_back=999]" in logs.ConsoleFormatter().format(later)


def test_what_was_held_back_is_told_when_the_minute_is_over_and_no_other_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    paced = logs.Paced(lambda record: "kind", lambda: now[0])
    for number in range(10):
        paced.filter(entry(f"record {number}"))
    paced.tell()
    assert caplog.records == []

    now[0] = logs.PACE_SECONDS
    paced.tell()
    paced.tell()

    (reported,) = caplog.records
    assert logs.ConsoleFormatter().format(reported).endswith("record 9 [held_back=8]")


def refusal(user: str, code: int = 403, **fields: object) -> logging.LogRecord:
    """The audit entry of a write."""
    return entry("API write", user=user, code=code, **fields)


def test_who_may_not_write_does_not_fill_the_log_by_trying() -> None:
    paced = logs.Paced(logs.refused_to, lambda: 0.0, logs.REFUSALS)
    shown = [paced.filter(refusal("viewer")) for _ in range(1000)]
    assert shown == [True] * logs.REFUSALS + [False] * (1000 - logs.REFUSALS)
    acting = [paced.filter(refusal(f"user-{number}", impersonator="admin")) for number in range(1000)]
    assert sum(acting) == logs.REFUSALS
    assert all(paced.filter(refusal("viewer", code)) for code in (200, 201, 404, 409) * 100)
    assert paced.filter(refusal("another"))


def test_the_number_held_back_is_what_was_not_shown() -> None:
    now = [0.0]
    paced = logs.Paced(logs.refused_to, lambda: now[0], 3)
    for _ in range(10):
        paced.filter(refusal("viewer"))
    now[0] = logs.PACE_SECONDS
    later = refusal("viewer")
    assert paced.filter(later)
    assert "held_back=7" in logs.ConsoleFormatter().format(later)


def test_a_cloud_whose_commands_are_refused_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    paced = logs.pace()
    for _ in range(1000):
        answers.log.warning("%s refused: %s", "run_command", "the message cannot be read")
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.filters = [one for one in logger.filters if one not in paced]
    assert len(caplog.records) == logs.REFUSALS
