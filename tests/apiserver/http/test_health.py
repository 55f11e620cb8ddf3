"""The health endpoints, check by check."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from controller.apiserver.http.health import Health

HEALTH = Health({"ping": lambda: ""}, {"store": lambda: "the last write failed", "disk": lambda: ""})


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/livez", 200, "ok"), ("/healthz/ping", 200, "ok"), ("/readyz/disk", 200, "ok"),
        ("/livez/store", 404, "not found"),
        ("/readyz/store", 500, "[-]store failed: the last write failed"), ("/readyz/disk/x", 404, "not found"),
        ("/readyz", 500, "[+]ping ok\n[-]store failed: the last write failed\n[+]disk ok\nreadyz check failed"),
        ("/livez?verbose", 200, "[+]ping ok\nlivez check passed"),
        ("/readyz?verbose=1&exclude=store", 200, "[+]store excluded: ok"), ("/readyz?exclude=store", 200, "ok"),
        ("/readyz?exclude=odd", 500, 'no matches for "odd"'),
    ],
)  # fmt: skip
def test_answers(path: str, status: int, text: str) -> None:
    request = make_mocked_request("GET", path)
    endpoint, *rest = request.path.strip("/").split("/")
    answer = HEALTH.answer(request, endpoint, rest)
    assert answer.status == status
    assert text in (answer.text or "")


def test_every_check_has_a_path() -> None:
    assert {"/livez", "/livez/ping", "/readyz/store", "/healthz"} <= set(HEALTH.paths())
    assert "/livez/store" not in HEALTH.paths()
