"""The controller's HTTP port: /healthz, /readyz and /metrics, for systemd, a kubelet, Prometheus and people.

It is read-only and has no authentication, so it belongs on loopback or a trusted network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from controller.errors import EdgeError
from controller.machinery.http_server import HttpServer
from controller.machinery.supervisor import Liveness
from controller.metrics.prometheus import Metrics

# A readiness check returns None when its part is ready, else one line that says what it is waiting for.
Check = Callable[[], Awaitable[str | None]]

_CHECK_SECONDS = 2.0
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus exposition format


class StatusServer(HttpServer):
    """Listens on ``host:port`` (0 takes any free port, see ``port``). ``checks`` are the readiness checks by part."""

    def __init__(self, host: str, port: int, liveness: Liveness, checks: Mapping[str, Check], metrics: Metrics) -> None:
        self._liveness = liveness
        self._checks = checks
        self._metrics = metrics
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._show_metrics),
            ]
        )
        super().__init__("EDGE_HTTP_LISTEN", host, port, app)

    async def _healthz(self, _: web.Request) -> web.Response:
        # Not the readiness checks: a restart helps a stuck loop, but neither a missing engine nor a full disk.
        return _verdict(self._liveness.stale())

    async def _readyz(self, _: web.Request) -> web.Response:
        answers = await asyncio.gather(*(_ask(name, check) for name, check in self._checks.items()))
        return _verdict([answer for answer in answers if answer])

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": _CONTENT_TYPE})


async def _ask(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            reason = await check()
    except TimeoutError:
        reason = f"no answer within {_CHECK_SECONDS:.0f} s"
    except (EdgeError, OSError) as error:
        # Some errors of sockets have no text, and an empty reason would mean ready.
        reason = str(error) or type(error).__name__
    return f"{name}: {reason}" if reason else None


def _verdict(faults: list[str]) -> web.Response:
    return web.Response(text="\n".join(faults or ["ok"]) + "\n", status=503 if faults else 200)
