"""An image registry on loopback, to pull from: the read half of the OCI distribution specification.

Engines treat 127.0.0.0/8 as insecure registries by default, so plain HTTP is enough. ``push`` is a Python call;
password, speed and outages are switches, so that tests can cover progress, refusals and recovery.
"""

from __future__ import annotations

import base64
import gzip
import http.server
import re
import socket
import threading
import time
from dataclasses import dataclass

from tests.support.image import Image, digest_of, to_json

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_BLOB = "application/octet-stream"
_CHUNK = 64 * 1024
_TLS_HANDSHAKE = b"\x16"
_REALM = 'Basic realm="test registry"'


@dataclass(frozen=True)
class Document:
    """The content at a path of the registry."""

    content: bytes
    kind: str


class Registry:
    """A registry at ``address`` (``127.0.0.1:PORT``); a context manager.

    ``credentials`` are the user and password required for a pull, or None; ``bytes_per_second`` slows layers down; with
    ``available`` off it answers 503; ``requests`` lists every requested path.
    """

    def __init__(self, credentials: tuple[str, str] | None = None, bytes_per_second: int | None = None) -> None:
        self.credentials = credentials
        self.bytes_per_second = bytes_per_second
        self.available = True
        self.requests: list[str] = []
        self._documents: dict[str, Document] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Host and port, the first part of an image reference."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Registry:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def push(self, repository: str, tag: str, image: Image) -> str:
        """Offer the image as ``ADDRESS/repository:tag``; a tag may move. Returns the manifest's digest."""
        layer = gzip.compress(image.layer.content, compresslevel=1, mtime=0)
        parts = [(image.config, _CONFIG), (layer, _LAYER)]
        for content, _ in parts:
            self._documents[f"{repository}/blobs/{digest_of(content)}"] = Document(content, _BLOB)
        config, described = ({"mediaType": kind, "size": len(c), "digest": digest_of(c)} for c, kind in parts)
        manifest = to_json({"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": [described]})
        digest = digest_of(manifest)
        for reference in (tag, digest):
            self._documents[f"{repository}/manifests/{reference}"] = Document(manifest, _MANIFEST)
        return digest

    def find(self, path: str) -> Document | None:
        """Return the content at a path below /v2/."""
        return self._documents.get(path)

    def admits(self, authorization: str | None) -> bool:
        """Return whether a request with this header may read."""
        if self.credentials is None:
            return True
        return authorization == "Basic " + base64.b64encode(":".join(self.credentials).encode()).decode()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        return type("BoundHandler", (_Handler,), {"registry": self})


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: Registry

    def handle(self) -> None:
        """Answer a TLS handshake in plain HTTP like Go's servers: engine 29 then retries without TLS."""
        if self.connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
            self.connection.recv(_CHUNK)  # closing with unread input would reset the connection
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        else:
            super().handle()

    def do_GET(self) -> None:
        self.registry.requests.append(self.path)
        path = self.path.removeprefix("/v2/")
        document = self.registry.find(path)
        if not self.registry.available:
            self._refuse(503, "UNAVAILABLE", "the registry is being repaired")
        elif not self.registry.admits(self.headers["Authorization"]):
            self._refuse(401, "UNAUTHORIZED", "authentication required")
        elif not path:
            self._answer(200, Document(b"{}", "application/json"))
        elif document:
            self._answer(200, document)
        else:
            self._refuse(404, "MANIFEST_UNKNOWN" if "/manifests/" in path else "BLOB_UNKNOWN", f"{path} unknown")

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _refuse(self, code: int, error: str, message: str) -> None:
        self._answer(code, Document(to_json({"errors": [{"code": error, "message": message}]}), "application/json"))

    def _answer(self, code: int, document: Document) -> None:
        self.send_response(code)
        self.send_header("Content-Type", document.kind)
        self.send_header("Content-Length", str(len(document.content)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if code == 401:
            self.send_header("WWW-Authenticate", _REALM)
        if re.search(r"/(manifests|blobs)/", self.path) and code == 200:
            self.send_header("Docker-Content-Digest", digest_of(document.content))
        self.end_headers()
        if self.command != "HEAD":
            self._send(document)

    def _send(self, document: Document) -> None:
        speed = self.registry.bytes_per_second if document.kind == _BLOB else None
        for start in range(0, len(document.content), _CHUNK):
            part = document.content[start : start + _CHUNK]
            self.wfile.write(part)
            if speed:
                time.sleep(len(part) / speed)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing; ``requests`` records the requests."""
