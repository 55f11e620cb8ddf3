"""The table of reasons is part of the API, so what the documentation lists must be what the code can say."""

from __future__ import annotations

from pathlib import Path

from controller.resources import reasons

DOCUMENT = Path(__file__).parents[2] / "docs" / "conditions.md"


def test_the_documentation_lists_every_reason() -> None:
    _, _, rest = DOCUMENT.read_text().partition("<!-- reasons -->")
    shown, _, _ = rest.partition("<!-- /reasons -->")
    assert shown.strip() == reasons.table(), "put what reasons.table() returns between the marks"


def test_no_reason_is_listed_twice() -> None:
    names = [reason.name for reason in reasons.TABLE]
    assert sorted(set(names)) == sorted(names)


def test_every_reason_of_the_code_is_in_the_table() -> None:
    constants = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    assert constants == {reason.name for reason in reasons.TABLE}
