"""Malformed messages of the cloud and malformed bodies of HTTP requests, at random and repeatable by the seed."""

from __future__ import annotations

import json
import random
import string
from typing import Any

TOPICS = {
    "create_new_runtime": {"container_name": "-never-", "vnic_configs": [{"name": "lan0", "network_mode": "dhcp"}]},
    "delete_device": {"device_id": "ghost"},
    "start_device": {"device_id": "ghost"},
    "stop_device": {"device_id": "ghost"},
    "restart_device": {"device_id": "ghost"},
    "run_command": {"device_id": "ghost", "method": "POST", "api": "/api/x", "headers": {}, "data": {}},
    "get_device_status": {"device_id": "ghost"},
    "get_consumption_device": {"device_id": "ghost", "cpuPeriod": "1h", "memoryPeriod": "30m"},
    "get_consumption_orchestrator": {"cpuPeriod": "1h", "memoryPeriod": "1h"},
    "get_host_interfaces": {"include_virtual": True},
    "get_serial_devices": {},
    "delete_orchestrator": {},
}
KEPT = {"container_name", "device_id"}  # what keeps a message from doing anything
ALPHABET = string.printable + "äß\u2028\ufeff\x00😀"


def value(chance: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = chance.randrange(9 if depth < 4 else 6)
    if kind < 3:
        return chance.choice([None, True, False, 0, -1, 2**31, 2**63, 1e308, 0.1, "", "0", "ghost", "../..", "%00"])
    if kind < 6:
        return "".join(chance.choices(ALPHABET, k=chance.choice((0, 1, 8, 300))))
    if kind < 7:
        return [value(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {str(value(chance, 4)): value(chance, depth + 1) for _ in range(chance.randrange(5))}


def message(chance: random.Random, number: int) -> tuple[str, Any]:
    """A topic and a payload that must be answered, and must not do anything."""
    topic = chance.choice(list(TOPICS))
    whole: dict[str, Any] = {
        "correlation_id": number,
        "action": topic,
        "requested_at": "2026-01-01T00:00:00Z",
        **json.loads(json.dumps(TOPICS[topic])),
    }
    if topic == "delete_orchestrator":
        return topic, {**whole, "action": value(chance, 4)}
    if chance.random() < 0.1:
        return topic, value(chance)
    for _ in range(chance.randint(1, 3)):
        field = chance.choice([field for field in whole if field not in KEPT])
        if chance.random() < 0.3:
            del whole[field]
        else:
            whole[field] = value(chance)
    return topic, whole


def body(chance: random.Random, good: bytes) -> bytes:
    """Bytes that once were a good body."""
    match chance.randrange(5):
        case 0:
            return chance.randbytes(chance.randrange(200))
        case 1:
            return json.dumps(value(chance)).encode()
        case 2:
            return good[: chance.randrange(len(good))]
        case 3:
            spoiled = bytearray(good)
            for _ in range(chance.randint(1, 8)):
                spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
            return bytes(spoiled)
        case _:
            whole = json.loads(good)
            target = chance.choice([whole, whole["metadata"], whole["spec"]])
            target[chance.choice([*target, "x"])] = value(chance)
            return json.dumps(whole).encode()
