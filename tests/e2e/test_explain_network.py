"""``edge-controller explain-network`` on a runtime with a working LAN and with several faults."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.command import run
from tests.support.edge_host import EdgeHost
from tests.support.lan import Lan

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]


async def explained(edge: EdgeHost, name: str) -> tuple[int, Any]:
    """Exit status and the parsed JSON output, or stderr without output."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "controller", "explain-network", name, "-o", "json"],
        env={**os.environ, **edge.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def failed_steps(reported: Any) -> dict[str, str]:
    """The subject of the failed step by interface."""
    return {way["interface"]: step["subject"] for way in reported["ways"] for step in way["steps"] if not step["ok"]}


async def test_the_path_is_traced_to_the_step_that_fails(edge: EdgeHost, lan: Lan) -> None:
    await edge.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await edge.wait_condition("plc-1", "Ready")

    status, reported = await explained(edge, "plc-1")
    assert (status, reported["ok"], failed_steps(reported)) == (0, True, {})

    mac = (await edge.runtime("plc-1"))["status"]["interfaces"][0]["macAddress"]
    rules = (
        f"table netdev t {{ chain c {{ type filter hook ingress device lan0 priority 0; ether saddr {mac} drop; }}; }}"
    )
    run("ip", "netns", "exec", lan.namespace, "nft", rules)
    status, reported = await explained(edge, "plc-1")
    assert (status, failed_steps(reported)) == (1, {"lan0": "ARP"})
    assert "promiscuous" in json.dumps(reported)
    run("ip", "netns", "exec", lan.namespace, "nft", "flush ruleset")

    await asyncio.to_thread(lan.set_carrier, up=False)
    assert failed_steps((await explained(edge, "plc-1"))[1]) == {"lan0": "carrier"}
    await asyncio.to_thread(lan.unplug)
    assert failed_steps((await explained(edge, "plc-1"))[1]) == {"lan0": "parent"}
    await edge.send("stop_device", device_id="plc-1")
    status, reported = await explained(edge, "plc-1")
    assert (status, failed_steps(reported)) == (1, {"container": "container"})


async def test_an_unknown_runtime_is_reported(edge: EdgeHost) -> None:
    status, message = await explained(edge, "nobody")

    assert status == 1
    assert "no Runtime nobody" in message
