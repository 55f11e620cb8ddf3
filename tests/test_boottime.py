"""When a process started is known whatever it calls itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from controller import boottime

CALL_ITSELF = """
import sys, time
open("/proc/self/comm", "wb").write(bytes.fromhex(sys.argv[1]))
print("called", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("name", [b"a) S 1 (b", b"\xff\xfe)\n1 2", b") ) )"], ids=repr)
def test_a_program_cannot_hide_its_start_behind_its_name(name: bytes) -> None:
    with subprocess.Popen([sys.executable, "-c", CALL_ITSELF, name.hex()], stdout=subprocess.PIPE) as process:
        try:
            before = boottime.process_start(process.pid)
            assert process.stdout
            assert process.stdout.readline() == b"called\n"
            assert before is not None
            assert boottime.process_start(process.pid) == before
        finally:
            process.kill()
