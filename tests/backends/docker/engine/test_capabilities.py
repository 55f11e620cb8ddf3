"""What an engine can do, from its API version and from its own description."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from controller.backends.docker.engine.capabilities import Capabilities, EngineInfo


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.41", (False, False, False, False, False)),
        ("1.44", (True, False, False, False, False)),
        ("1.46", (True, True, False, False, False)),
        ("1.51", (True, True, True, False, False)),
        ("1.53", (True, True, True, False, True)),
        ("1.100", (True, True, True, True, True)),
    ],
)
def test_the_api_version_decides_the_capabilities(version: str, expected: tuple[bool, ...]) -> None:
    found = Capabilities.of(version)

    assert dataclasses.astuple(found) == (version, *expected)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, EngineInfo("", "1.51", frozenset({"memory", "swap", "processes"}), "")),
        (
            {"ServerVersion": "28.5.2", "DockerRootDir": "/var/lib/docker", "MemoryLimit": False, "PidsLimit": True},
            EngineInfo("28.5.2", "1.51", frozenset({"swap", "processes"}), "/var/lib/docker"),
        ),
        (
            {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]},
            EngineInfo("", "1.51", frozenset({"memory", "swap", "processes"}), "", is_rootless=True),
        ),
    ],
    ids=["an engine that says nothing", "a host without the memory cgroup", "a rootless engine"],
)
def test_an_engine_describes_its_host(info: dict[str, Any], expected: EngineInfo) -> None:
    assert EngineInfo.of("1.51", info) == expected
