"""The next test run removes leftovers of a killed one, but not what a living one owns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import dockerd, engine_traces
from tests.support import lan as lans

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]

_KILLED = """
import os, signal, sys
from tests.support.dockerd import Engine
from tests.support.lan import Lan
engine, lan = Engine().__enter__(), Lan().__enter__()
print(engine.root, lan.parent, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_a_killed_run_are_removed(docker_machine: None) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED], stdout=subprocess.PIPE, text=True, check=False)
    root, parent = killed.stdout.split()
    engine_root = Path(root)
    assert engine_traces.find(engine_root)
    assert parent in lans.names()

    lans.remove_orphans()
    dockerd.remove_orphans()

    assert engine_traces.find(engine_root) == []
    assert parent not in lans.names()


def test_a_living_run_keeps_its_own(engine: dockerd.Engine, lan: lans.Lan) -> None:
    lans.remove_orphans()
    dockerd.remove_orphans()
    assert engine_traces.find(engine.root)
    assert lan.ping(lan.gateway)
