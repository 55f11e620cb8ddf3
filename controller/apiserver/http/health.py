"""The health endpoints of the server, check by check (Kubernetes: API health endpoints)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from controller.apiserver.access.attributes import TRUE

Check = Callable[[], str]  # returns what is wrong, "" if healthy
ENDPOINTS = ("healthz", "livez", "readyz")


class Health:
    """Serves /healthz, /livez and /readyz, and each of their checks."""

    def __init__(self, live: Mapping[str, Check], ready: Mapping[str, Check]) -> None:
        self._checks = {"healthz": live, "livez": live, "readyz": {**live, **ready}}

    def paths(self) -> list[str]:
        """Every path that it serves."""
        return [
            path for endpoint, checks in self._checks.items() for path in (f"/{endpoint}", *_of_each(endpoint, checks))
        ]

    def answer(self, request: web.Request, endpoint: str, rest: list[str]) -> web.Response:
        """200 if healthy, 500 with the failed checks, or 404 for an unknown check."""
        checks = self._checks[endpoint]
        if rest:
            if len(rest) > 1 or rest[0] not in checks:
                return web.Response(status=404, text="404 page not found\n")
            checks = {rest[0]: checks[rest[0]]}
        excluded = request.query.getall("exclude", [])
        faults = {name: check() for name, check in checks.items() if name not in excluded}
        failed = any(faults.values())
        if not failed and request.query.get("verbose", "0") not in ("", *TRUE):
            return web.Response(text="ok")
        lines = [_line(name, faults.get(name)) for name in checks]
        if unknown := [f'"{name}"' for name in excluded if name not in checks]:
            lines.append(f"warn: some health checks cannot be excluded: no matches for {', '.join(unknown)}")
        lines.append(f"{endpoint} check {'failed' if failed else 'passed'}")
        return web.Response(status=500 if failed else 200, text="\n".join(lines) + "\n")


def _line(name: str, fault: str | None) -> str:
    if fault is None:
        return f"[+]{name} excluded: ok"
    return f"[-]{name} failed: {fault}" if fault else f"[+]{name} ok"


def _of_each(endpoint: str, checks: Mapping[str, Check]) -> list[str]:
    return [f"/{endpoint}/{name}" for name in checks]
