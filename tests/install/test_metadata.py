"""The package's metadata is complete, and the lock files satisfy pyproject.toml."""

from __future__ import annotations

import tomllib
from importlib.metadata import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.locks import BUILD, DEVELOPMENT, PROJECT, RUNTIME, locked

DEFINITION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def test_the_licence_is_named_and_included() -> None:
    found = metadata("edge-controller")
    assert (found["License-Expression"], found["License-File"]) == ("Apache-2.0", "LICENSE")
    assert "Apache License" in (PROJECT / "LICENSE").read_text()


@pytest.mark.parametrize("field", ["Author", "Summary", "Keywords", "Description", "Requires-Python"])
def test_the_metadata_is_complete(field: str) -> None:
    assert metadata("edge-controller")[field]


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        (RUNTIME, DEFINITION["dependencies"]),
        (DEVELOPMENT, DEFINITION["dependencies"] + DEFINITION["optional-dependencies"]["dev"]),
    ],
)
def test_a_lock_file_satisfies_the_requirements(lock: str, requirements: list[str]) -> None:
    pins = locked(lock)
    parsed = [Requirement(text) for text in requirements]
    unmet = [str(each) for each in parsed if not each.specifier.contains(pins.get(canonicalize_name(each.name), "0"))]
    assert unmet == [], "run make lock"


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT, BUILD])
def test_every_locked_file_has_a_hash(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    assert 0 < text.count("==") <= text.count("--hash=sha256:")


def test_tests_use_the_same_versions_as_the_image() -> None:
    tested, shipped = locked(DEVELOPMENT), locked(RUNTIME)
    assert {name: tested.get(name) for name in shipped} == shipped
