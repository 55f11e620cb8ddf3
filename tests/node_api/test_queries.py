"""The queries derived from Node: their names and their JSON, which nodes of other versions read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pydantic
import pytest

from controller.devices.serial_device import SerialDevice
from controller.metrics.host import HostReading
from controller.network.interfaces import HostInterface
from controller.node_api import queries
from controller.node_api.node import File, HostFacts, HttpRequest, HttpResponse, Point, Reading, Usage
from controller.node_api.periods import Between, Last
from controller.node_api.queries import Query

REQUEST = HttpRequest(
    "10.213.0.2",
    8443,
    "https",
    "POST",
    "/a?b=c",
    {"q": ["1"]},
    {"X-A": "b"},
    {"n": None},
    {"f": File("a", b"\xff", "t")},
)
REQUEST_JSON = {
    "address": "10.213.0.2",
    "port": 8443,
    "scheme": "https",
    "method": "POST",
    "path": "/a?b=c",
    "params": {"q": ["1"]},
    "headers": {"X-A": "b"},
    "data": {"n": None},
    "files": {"f": ["a", "_w==", "t"]},
}


class Version2:
    """A node of a newer version."""

    async def interfaces(self, *, include_virtual: bool, limit: int = 100) -> Sequence[str]:
        """Has a new parameter with a default."""
        return [f"{include_virtual}", str(limit)]


@pytest.mark.parametrize(
    ("query", "parameters", "sent"),
    [
        ("reading", {}, {}),
        ("host_facts", {}, {}),
        (
            "host_usage",
            {"cpu": Last(60), "memory": Between(1.5, 2.5)},
            {"cpu": {"seconds": 60}, "memory": {"start": 1.5, "end": 2.5}},
        ),
        (
            "device_usage",
            {"namespace": "edge", "device_id": "plc-1", "cpu": Last(60), "memory": Last(1)},
            {"namespace": "edge", "device_id": "plc-1", "cpu": {"seconds": 60}, "memory": {"seconds": 1}},
        ),
        ("interfaces", {"include_virtual": True}, {"include_virtual": True}),
        ("serial_devices", {}, {}),
        ("request", {"request": REQUEST, "seconds": 5.0}, {"request": REQUEST_JSON, "seconds": 5.0}),
        ("foreign_container", {"name": "plc-1"}, {"name": "plc-1"}),
    ],
)
def test_the_parameters_on_the_wire(query: str, parameters: dict[str, Any], sent: Any) -> None:
    model = queries.TABLE[query].bind(**parameters)
    assert json.loads(model.model_dump_json()) == sent
    assert dict(queries.TABLE[query].parameters.model_validate_json(json.dumps(sent))) == parameters


RESULTS = {
    "reading": (
        Reading(HostReading(10.0, 1, 2, 3, 4, 5), 4),
        [
            {
                "cpu_percent": 10.0,
                "memory_used": 1,
                "memory_total": 2,
                "disk_used": 3,
                "disk_total": 4,
                "uptime": 5,
            },
            4,
        ],
    ),
    "host_facts": (
        HostFacts("Debian", "6.1", 4, 8, 64, [("eth0", "::1")]),
        ["Debian", "6.1", 4, 8, 64, [["eth0", "::1"]]],
    ),
    "host_usage": (Usage([Point(1, 2.5)], []), [[[1, 2.5]], []]),
    "device_usage": (Usage([], [Point(1, 2.5)]), [[], [[1, 2.5]]]),
    "interfaces": (
        [HostInterface("eth0", "physical", True)],
        [
            {
                "name": "eth0",
                "kind": "physical",
                "is_up": True,
                "mac_address": "",
                "ipv4_addresses": [],
                "subnet": "",
                "gateway": "",
                "carrier": False,
                "speed": None,
                "used_by": [],
            }
        ],
    ),
    "serial_devices": (
        [SerialDevice("usb-1", "/dev/ttyUSB0", 1, 2, 3, 4)],
        [
            {
                "device_id": "usb-1",
                "path": "/dev/ttyUSB0",
                "number": 1,
                "mode": 2,
                "owner": 3,
                "group": 4,
                **dict.fromkeys(("by_path", "vendor_id", "product_id", "serial", "manufacturer", "product"), ""),
                "links": [],
                "usb_id": "",
                "place": "",
                "is_twin": False,
            }
        ],
    ),
    "request": (
        HttpResponse(200, {"A": "b"}, "text", "text/plain", "", truncated=True),
        {
            "status_code": 200,
            "headers": {"A": "b"},
            "body": "text",
            "content_type": "text/plain",
            "encoding": "",
            "truncated": True,
        },
    ),
    "foreign_container": ("nginx", "nginx"),
}


@pytest.mark.parametrize("query", RESULTS)
def test_the_result_on_the_wire(query: str) -> None:
    result, sent = RESULTS[query]
    adapter = queries.TABLE[query].result
    assert json.loads(adapter.dump_json(result)) == sent
    assert adapter.validate_json(json.dumps(sent)) == result


def test_these_are_all_queries() -> None:
    assert set(RESULTS) == set(queries.TABLE)


@pytest.mark.parametrize(
    ("query", "positional", "named", "sentence"),
    [
        ("interfaces", [True], {}, "too many positional arguments"),
        ("interfaces", [], {}, "missing a required.*include_virtual"),
        ("reading", [], {"more": 1}, "unexpected keyword argument 'more'"),
    ],
)
def test_a_call_with_other_parameters_is_an_error(
    query: str, positional: list[Any], named: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(TypeError, match=sentence):
        queries.TABLE[query].bind(*positional, **named)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="Extra inputs are not permitted"):
        queries.TABLE["reading"].parameters.model_validate_json('{"more": 1}')


def test_a_newer_node_answers_an_older_leader_that_omits_an_optional_parameter() -> None:
    query = Query.of(Version2.interfaces)
    assert dict(query.parameters.model_validate_json('{"include_virtual": true}')) == {
        "include_virtual": True,
        "limit": 100,
    }
