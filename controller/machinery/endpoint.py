"""URL and credentials of a Kubernetes API: embedded, from inside a pod, or from a kubeconfig.

A kubeconfig and a service account are read by a short program (kubeconfig/), because what it imports is large and a
credential plugin may hang.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from controller import errors
from controller.machinery import bounded
from controller.machinery.direct import Direct

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
READER = "controller.machinery.kubeconfig"
READER_SECONDS = 30  # including a credential plugin
IMPORT_SECONDS = 10  # more, as the reader's own message names what hangs
END_SECONDS = 2.0
OUTPUT_LIMIT = 4 << 20  # bytes
_PATHS = ("ca_file", "client_cert", "client_key", "token_file")


@dataclass(frozen=True)
class Endpoint:
    """A URL and credentials. ``token_file`` is read for every request because clusters rotate it.

    Certificates are files, or PEM text when embedded in a kubeconfig. ``expires_at`` is the Unix time at which the
    credentials end, None if unknown; ``renew`` reads them again and raises errors.SettingError. With ``socket`` all
    connections go through that UNIX socket, without TLS or a token; ``url`` is then only the address for others.
    ``direct`` answers clients of one event loop, that of the server, without a connection.
    """

    url: str
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_data: str | None = field(default=None, repr=False)
    client_data: str | None = field(default=None, repr=False)  # certificate and key
    scheme: str = "Bearer"
    insecure: bool = False  # the kubeconfig says insecure-skip-tls-verify
    server_name: str | None = None  # in the server's certificate, if not the host of ``url``
    proxy: str | None = field(default=None, repr=False)  # may contain a password
    expires_at: float | None = None
    socket: Path | None = None
    direct: Direct | None = field(default=None, repr=False, compare=False)
    renew: Renew | None = field(default=None, repr=False, compare=False)

    @property
    def base_url(self) -> str:
        """The URL in front of the paths of requests."""
        return "http://localhost" if self.socket else self.url

    def ssl_context(self) -> ssl.SSLContext:
        """Create a context from the current files. Raises OSError."""
        ca_file = str(self.ca_file) if self.ca_file else None
        if self.server_name:
            context = _NamedServerContext.create(self.server_name, ca_file, self.ca_data)
        else:
            context = ssl.create_default_context(cafile=ca_file, cadata=self.ca_data)
        if self.insecure:
            # In this order: ssl refuses CERT_NONE as long as the host name is checked.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_data:
            _load_client_data(context, self.client_data)
        elif self.client_cert:
            context.load_cert_chain(str(self.client_cert), str(self.client_key) if self.client_key else None)
        return context

    def authorization(self) -> dict[str, str]:
        """Return the request header with the token, if there is one. Raises OSError."""
        token = self.token_file.read_text().strip() if self.token_file else self.token
        return {"Authorization": f"{self.scheme} {token}"} if token else {}

    async def headers(self) -> dict[str, str]:
        """Return the same, in a thread if a file has to be read: this is part of every request. Raises OSError."""
        return await asyncio.to_thread(self.authorization) if self.token_file else self.authorization()

    def same_connection(self, other: Endpoint) -> bool:
        """Whether both differ at most in their tokens, so that connections stay usable."""
        return replace(self, token=other.token, expires_at=other.expires_at) == other


Renew = Callable[[], Awaitable[Endpoint]]


async def from_cluster(environment: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> Endpoint:
    """Return the endpoint of the cluster we run in, else of KUBECONFIG. Raises errors.SettingError."""
    has_token = await asyncio.to_thread((service_account / "token").exists)
    # Both are needed: a pod may have no token (automountServiceAccountToken: false) but a kubeconfig.
    if environment.get("KUBERNETES_SERVICE_HOST") and has_token:
        return await _read(f"the service account in {service_account}", environment, "pod", str(service_account))
    if environment.get("KUBECONFIG"):
        return await _from_kubeconfig(environment)
    raise errors.SettingError(
        "EDGE_API is cluster, but no cluster is configured: run in a pod with a service account or set KUBECONFIG"
    )


async def from_kubeconfig(path: Path) -> Endpoint:
    """Return the endpoint of a kubeconfig's current context. Raises errors.SettingError."""
    return await _from_kubeconfig({**os.environ, "KUBECONFIG": str(path)})


async def _from_kubeconfig(environment: Mapping[str, str]) -> Endpoint:
    source = f"KUBECONFIG {environment['KUBECONFIG']}"
    try:
        folder = await asyncio.to_thread(tempfile.mkdtemp)
    except OSError as error:
        raise errors.SettingError(f"{source} cannot be read: {error}") from error
    try:
        endpoint = await _read(source, environment, "kubeconfig", folder)
    finally:  # here, as a reader that is killed removes nothing
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return replace(endpoint, renew=partial(_from_kubeconfig, environment))


async def _read(source: str, environment: Mapping[str, str], *arguments: str) -> Endpoint:
    try:
        found = json.loads(await _run([READER, str(READER_SECONDS), *arguments], environment))
    except (OSError, TimeoutError, ValueError) as error:
        message = f"{source} cannot be read ({str(error) or type(error).__name__}): try `kubectl version` with it"
        raise errors.SettingError(message) from error
    if "error" in found:
        raise errors.SettingError(f"{source} cannot be used: {found['error']}")
    fields: dict[str, Any] = {key: Path(value) if key in _PATHS and value else value for key, value in found.items()}
    return Endpoint(**fields)


async def _run(module: Sequence[str], environment: Mapping[str, str]) -> bytes:
    """Return the output of a module of ours. Raises OSError, TimeoutError and ValueError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", *module),  # -P: never import from the working directory
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # a traceback can contain parts of the configuration
        # A plugin is a foreign program: it gets none of our settings.
        env={name: value for name, value in environment.items() if not name.startswith("EDGE_")},
        start_new_session=True,  # a plugin finds no terminal, and Ctrl-C reaches us alone
    )
    try:
        async with asyncio.timeout(READER_SECONDS + IMPORT_SECONDS):
            # Not communicate(), which would keep an output of any size in memory.
            output, cut = await bounded.read(process.stdout, OUTPUT_LIMIT) if process.stdout else (b"", False)
            if cut:
                raise ValueError("it is larger than 4 MiB")
            await process.wait()
            return output
    finally:
        # Also when the caller is cancelled: neither reader nor plugin may outlive it.
        if process.returncode is None:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let the reader end its plugin; kill it if it does not end."""
    process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class _NamedServerContext(ssl.SSLContext):
    """Expects the certificate of another name than the host in the URL, in every library that uses this context."""

    _server_name = ""

    @classmethod
    def create(cls, server_name: str, ca_file: str | None, ca_data: str | None) -> ssl.SSLContext:
        # create_default_context() returns the base class only.
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context._server_name = server_name
        if ca_file or ca_data:
            context.load_verify_locations(ca_file, cadata=ca_data)
        else:
            context.load_default_certs()
        return context

    # asyncio creates every TLS object through this call, with the host of the URL as name; kopf has no setting for it.
    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:
        return super().wrap_bio(*given, **(named | {"server_hostname": self._server_name}))


def _load_client_data(context: ssl.SSLContext, pem: str) -> None:
    """Load a client certificate through a private temporary file, because ssl accepts nothing else."""
    descriptor, name = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(pem)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()
