"""The words of ``status.state``, also as release 0.1 wrote them."""

from __future__ import annotations

import pytest

from controller.api.runtime_status import STATES, RuntimeStatus, State, docker_state, state_name

EACH = pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)


@EACH
def test_both_words_are_read(state: State) -> None:
    for written in (state.name, state.docker):
        assert RuntimeStatus.model_validate({"state": written}).state == state.name
        assert docker_state({"state": written}) == state.docker


@EACH
def test_the_name_is_one_capitalised_word(state: State) -> None:
    assert state.name.isalpha()
    assert state.name == state.name.capitalize()


def test_a_word_that_docker_may_add_is_capitalised_too() -> None:
    assert state_name("stopping") == "Stopping"


def test_without_a_container_there_is_no_state() -> None:
    assert RuntimeStatus.model_validate({}).state is None
    assert docker_state({}) is None


def test_the_description_of_the_field_explains_every_state() -> None:
    description = RuntimeStatus.model_fields["state"].description or ""
    assert all(f"{state.name} ({state.meaning})" in description for state in STATES)
