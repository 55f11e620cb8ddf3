"""The log: an entry is one line whatever clients send, and clients cannot fill the disk with entries."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli import logging as logs
from controller.cloud import dispatcher
from controller.nodes.cluster import node_server

FORGED = "x\n2026-11-27T00:00:00.000Z INFO    API write [user=admin verb=delete]"


def entry(message: str, **fields: object) -> logging.LogRecord:
    """A log record."""
    record = logging.LogRecord("edge", logging.INFO, "", 0, "%s", (message,), None)
    vars(record).update(fields)
    return record


@pytest.mark.parametrize("formatter", [logs.ConsoleFormatter(), logs.JsonFormatter()])
@given(message=st.text(), name=st.text())
def test_an_entry_is_one_line_of_printable_characters(formatter: logging.Formatter, message: str, name: str) -> None:
    assert formatter.format(entry(message, object=name)).isprintable()


@pytest.mark.parametrize("char", "\n\r\t\x00\x1b\x7f\x85\u2028\u2029\u202e\u2066\u200f\udcff")
def test_control_characters_are_escaped(char: str) -> None:
    for formatter in (logs.ConsoleFormatter(), logs.JsonFormatter()):
        assert char not in formatter.format(entry(f"a{char}b", agent=f"a{char}b"))


def test_a_field_cannot_imitate_other_fields() -> None:
    line = logs.ConsoleFormatter().format(entry("API write", object='x user=admin] "', agent=FORGED, user="viewer"))
    assert line.endswith(
        r'[user=viewer object="x user=admin] \"" '
        r'agent="x\n2026-11-27T00:00:00.000Z INFO    API write [user=admin verb=delete]"]'
    )


def test_an_exception_cannot_imitate_an_entry() -> None:
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


def test_unauthenticated_clients_are_logged_once_a_minute_with_their_number() -> None:
    now = [0.0]
    paced = logs.RateLimit(lambda record: "kind" if record.getMessage() == "paced" else None, lambda: now[0])
    reported = [paced.filter(entry("paced")) for _ in range(1000)]
    assert (reported[0], any(reported[1:])) == (True, False)
    assert paced.filter(entry("other"))
    now[0] = logs.WINDOW_SECONDS
    later = entry("paced")
    assert paced.filter(later)
    assert "[held_back=999]" in logs.ConsoleFormatter().format(later)


def test_suppressed_records_are_logged_at_the_end_of_the_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    paced = logs.RateLimit(lambda record: "kind", lambda: now[0])
    for number in range(10):
        paced.filter(entry(f"record {number}"))
    paced.flush()
    assert caplog.records == []

    now[0] = logs.WINDOW_SECONDS
    paced.flush()
    paced.flush()

    (reported,) = caplog.records
    assert logs.ConsoleFormatter().format(reported).endswith("record 9 [held_back=8]")


def refusal(user: str, code: int = 403, **fields: object) -> logging.LogRecord:
    """The audit record of a refused write."""
    return entry("API write", user=user, code=code, **fields)


def test_refused_writes_are_rate_limited_per_user() -> None:
    paced = logs.RateLimit(logs.refused_to, lambda: 0.0, logs.MAX_REFUSALS)
    shown = [paced.filter(refusal("viewer")) for _ in range(1000)]
    assert shown == [True] * logs.MAX_REFUSALS + [False] * (1000 - logs.MAX_REFUSALS)
    acting = [paced.filter(refusal(f"user-{number}", impersonator="admin")) for number in range(1000)]
    assert sum(acting) == logs.MAX_REFUSALS
    assert all(paced.filter(refusal("viewer", code)) for code in (200, 201, 404, 409) * 100)
    assert paced.filter(refusal("another"))


def test_the_number_of_suppressed_records_is_exact() -> None:
    now = [0.0]
    paced = logs.RateLimit(logs.refused_to, lambda: now[0], 3)
    for _ in range(10):
        paced.filter(refusal("viewer"))
    now[0] = logs.WINDOW_SECONDS
    later = refusal("viewer")
    assert paced.filter(later)
    assert "held_back=7" in logs.ConsoleFormatter().format(later)


@pytest.fixture
def rate_limit() -> Iterator[None]:
    """The rate limits of the service."""
    paced = logs.rate_limit()
    yield
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.filters = [one for one in logger.filters if one not in paced]


@pytest.mark.parametrize(("log", "most"), [(dispatcher.log, logs.MAX_REFUSALS), (node_server.log, 1)])
@pytest.mark.usefixtures("rate_limit")
def test_refusals_are_rate_limited(log: logging.Logger, most: int, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1000):
        log.warning("Refused %s: %s", "a request", f"for the {number}th time")
    assert len(caplog.records) == most
