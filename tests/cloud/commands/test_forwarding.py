"""What counts as a read: a GET or HEAD request whose path equals a configured one exactly."""

from __future__ import annotations

from typing import Any

import pytest

from controller.cloud.commands.forwarding import Reads
from controller.cloud.contracts.commands import RunCommand

READS = Reads(("/api/status", "/api/runtime-logs"))


def request(api: str, method: str = "GET", **fields: Any) -> RunCommand:
    """A run_command message."""
    return RunCommand(correlation_id=1, device_id="plc-1", method=method, api=api, **fields)


@pytest.mark.parametrize(
    "message",
    [
        request("/api/status"),
        request("api/status"),
        request("//api/status"),
        request("/api/status", "HEAD"),
        request("/api/status?verbose=1&x=%2e%2e/"),
        request("/api/runtime-logs", params={"id": 7}),
        request("/api/status", port=8443),
        request("/api/status", headers={"Authorization": "Bearer x", "Cookie": "a=b"}),
    ],
    ids=lambda message: f"{message.method} {message.api}",
)
def test_requests_that_count_as_reads(message: RunCommand) -> None:
    assert message in READS


@pytest.mark.parametrize(
    "api",
    [
        "/api/start-plc", "/api/stop-plc", "/", "/api/status/", "/api/Status", "/api/status;x", "/api/status/start",
        "/api/status/../start-plc", "/api/status/%2e%2e/start-plc", "/api/x/../status", "/api/./status",
        "/api//status", "/api/%73tatus", "/api/status%00", "/api/status%3fx", "/api/status%2f", "/api/status%20",
        "/api/stat\u0075\u0301s", "/API/status", "/start-plc?/api/status", "/api/status.json",
        "/api/status?_method=POST", "/api/status?a=1&%5FMethod=POST",
    ],
)  # fmt: skip
def test_other_paths_are_not_reads(api: str) -> None:
    assert request(api) not in READS


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_not_reads(method: str) -> None:
    assert request("/api/status", method) not in READS


@pytest.mark.parametrize(
    "fields",
    [
        {"port": 8080},
        {"data": {"a": 1}},
        {"data": ""},
        {"files": {"f": {"filename": "a", "content_base64": ""}}},
        {"headers": {"X-HTTP-Method-Override": "POST"}},
        {"headers": {"x-original-url": "/api/start-plc"}},
        {"headers": {"X_HTTP_Method_Override": "POST"}},
        {"headers": {"X-Script-Name": "/api/start-plc"}},
        {"headers": {"X-Of-Some-Framework": "x"}},
        {"params": {"_method": "POST"}},
    ],
    ids=str,
)
def test_requests_that_a_runtime_may_interpret_differently_are_not_reads(fields: dict[str, Any]) -> None:
    assert request("/api/status", **fields) not in READS


def test_without_paths_nothing_is_a_read() -> None:
    assert request("/api/status") not in Reads(())
