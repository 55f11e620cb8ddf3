"""Plays a soft PLC in the test image: its control server, and a first process that exits on SIGTERM.

HTTPS on port 8443 with a self-signed certificate, plain HTTP on port 8080. Standard library only, imported at the top:
the image contains only what these imports load.

    GET  /api/status         {"status": "running", "version": ..., "started_at": ...}
    GET  /api/bytes/N        N bytes
    GET  /api/redirect       302 to /api/status
    GET  /api/slow/SECONDS   the status, that much later
    GET  /api/error/CODE     that status code with a JSON body
    any  /api/do/KEY         "did KEY" in the program's output
    any  /api/login          what arrived, and the session cookie "session=" with the body, in hexadecimal
    any  elsewhere           what arrived: method, path, query, headers, body as text and its SHA-256
"""

import datetime
import encodings.ascii
import encodings.idna
import encodings.latin_1
import encodings.utf_8  # noqa: F401 - looked up by name at run time
import hashlib
import http.server
import json
import os
import signal
import ssl
import sys
import threading
import time
import urllib.parse

CERTIFICATE = "/etc/control.pem"
STARTED_AT = datetime.datetime.now(datetime.UTC).isoformat()


class Control(http.server.BaseHTTPRequestHandler):
    """One request; see the module's table."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Answer any method."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.urlsplit(self.path)
        match path.path.strip("/").split("/"):
            case ["api", "status"]:
                self.send_json(200, status())
            case ["api", "bytes", count]:
                self.send(200, b"x" * int(count), "application/octet-stream")
            case ["api", "redirect"]:
                self.send(302, b"", "text/plain", Location="/api/status")
            case ["api", "slow", seconds]:
                time.sleep(float(seconds))
                self.send_json(200, status())
            case ["api", "error", code]:
                self.send_json(int(code), {"error": f"status {code} was requested"})
            case ["api", "do", key]:
                print(f"did {key}", flush=True)
                self.send_json(200, {"did": key})
            case ["api", "login"]:
                echo = json.dumps(self.echo(path, body)).encode()
                self.send(200, echo, "application/json", **{"Set-Cookie": f"session={body.hex()}; HttpOnly"})
            case _:
                self.send_json(200, self.echo(path, body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    def echo(self, path: urllib.parse.SplitResult, body: bytes) -> dict[str, object]:
        """Return the received request."""
        return {
            "method": self.command,
            "path": path.path,
            "query": urllib.parse.parse_qs(path.query),
            "headers": dict(self.headers),
            "body": body[:65536].decode(errors="replace"),
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }

    def send_json(self, code: int, content: object) -> None:
        """Send a JSON response."""
        self.send(code, json.dumps(content).encode(), "application/json")

    def send(self, code: int, body: bytes, kind: str, **headers: str) -> None:
        """Send a response."""
        self.send_response(code)
        for name, value in {**headers, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def status() -> dict[str, str]:
    """Return the runtime's status."""
    return {"status": "running", "version": os.environ.get("EDGE_TEST_VERSION", ""), "started_at": STARTED_AT}


def serve(port: int, context: ssl.SSLContext | None) -> None:
    """Listen on the port in its own thread, with TLS if a context is given."""
    server = http.server.ThreadingHTTPServer(("", port), Control)
    if context:
        # Do the handshake in the connection's thread, so that a silent client does not block others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main() -> None:
    """Serve until SIGTERM."""
    # PID 1 of a container has no default action for SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    serve(8443, context)
    serve(8080, None)
    print("control server ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
