"""Our embedded API server in a separate process, as a counterpart to a real one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from controller import lean_imports, tls_buffers
from tests.cluster.daemon import Daemon

READY_SECONDS = 60.0
KUBECONFIG = "admin.kubeconfig"


class Embedded:
    """A server on a free loopback port, a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kubeconfig = folder / KUBECONFIG

    def __enter__(self) -> Embedded:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.unlink(missing_ok=True)
        self._daemon = Daemon("embedded", self._folder, [sys.executable, "-m", __name__, str(self._folder)])
        self._daemon.wait_until(self.kubeconfig.exists, READY_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.stop()

    @property
    def process_id(self) -> int:
        """Process id of the server."""
        return self._daemon.process_id


async def _serve(folder: Path) -> None:
    # Like the service, after the preparation.
    from controller.api import packaged_crds
    from controller.apiserver.server import ApiServer

    server = ApiServer(folder, "127.0.0.1", 0, packaged_crds.manifests(), "edge")
    await server.start()
    await asyncio.to_thread(server.write_kubeconfig, folder / KUBECONFIG)
    lean_imports.finish()
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    tls_buffers.shrink()
    lean_imports.prepare(())
    asyncio.run(_serve(Path(sys.argv[1])))
