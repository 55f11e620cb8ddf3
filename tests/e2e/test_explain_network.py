"""``edge-controller explain-network`` on a runtime whose LAN is sound, and is not."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.command import run
from tests.support.lan import Lan
from tests.support.site import Site

pytestmark = [pytest.mark.docker, pytest.mark.any_engine]


async def explained(site: Site, name: str) -> tuple[int, Any]:
    """Exit status, and what it printed as JSON."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "controller", "explain-network", name, "-o", "json"],
        env={**os.environ, **site.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def broken(reported: Any) -> dict[str, str]:
    """Subject of the broken step by interface."""
    return {way["interface"]: step["subject"] for way in reported["ways"] for step in way["steps"] if not step["ok"]}


async def test_the_way_is_followed_to_where_it_ends(site: Site, lan: Lan) -> None:
    await site.create("plc-1", lan.parent, f"{lan.address(60)}/24")
    await site.wait_condition("plc-1", "Ready")

    status, reported = await explained(site, "plc-1")
    assert (status, reported["ok"], broken(reported)) == (0, True, {})

    mac = (await site.runtime("plc-1"))["status"]["interfaces"][0]["macAddress"]
    rules = (
        f"table netdev t {{ chain c {{ type filter hook ingress device lan0 priority 0; ether saddr {mac} drop; }}; }}"
    )
    run("ip", "netns", "exec", lan.namespace, "nft", rules)
    status, reported = await explained(site, "plc-1")
    assert (status, broken(reported)) == (1, {"lan0": "ARP"})
    assert "promiscuous" in json.dumps(reported)
    run("ip", "netns", "exec", lan.namespace, "nft", "flush ruleset")

    await asyncio.to_thread(lan.set_carrier, up=False)
    assert broken((await explained(site, "plc-1"))[1]) == {"lan0": "carrier"}
    await asyncio.to_thread(lan.unplug)
    assert broken((await explained(site, "plc-1"))[1]) == {"lan0": "parent"}
    await site.send("stop_device", device_id="plc-1")
    status, reported = await explained(site, "plc-1")
    assert (status, broken(reported)) == (1, {"container": "container"})


async def test_one_that_is_not_there_is_told(site: Site) -> None:
    status, words = await explained(site, "nobody")

    assert status == 1
    assert "no Runtime nobody" in words
