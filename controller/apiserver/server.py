"""The embedded Kubernetes API: an aiohttp server with TLS on one store.

Composition and lifecycle; http/requests.py handles the requests.
"""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import ssl
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from controller import __version__, boottime, errors, files, names
from controller.apiserver.access import kubeconfigs
from controller.apiserver.access.authorization import Policy
from controller.apiserver.access.credentials import Credentials
from controller.apiserver.access.identities import Identity
from controller.apiserver.access.renewal import CertificateRenewal
from controller.apiserver.access.reviews import Reviews
from controller.apiserver.access.users import Users
from controller.apiserver.compat import registration as compat
from controller.apiserver.compat.namespace_defaults import NamespaceDefaults
from controller.apiserver.controllers import seed
from controller.apiserver.controllers.disk_full import DiskFullController
from controller.apiserver.controllers.garbage_collector import GarbageCollector
from controller.apiserver.controllers.maintenance import BackupSchedule, DailyTimer, Maintenance
from controller.apiserver.controllers.namespace_deletion import NamespaceDeletion
from controller.apiserver.http import local_socket
from controller.apiserver.http.filter_chain import FilterChain
from controller.apiserver.http.health import Health
from controller.apiserver.http.limits import Limits
from controller.apiserver.http.listener import Listener
from controller.apiserver.http.own_process import OwnProcess
from controller.apiserver.http.requests import Requests
from controller.apiserver.kinds import core_types
from controller.apiserver.kinds.core import CORE
from controller.apiserver.kinds.resources import Registry
from controller.apiserver.storage import copies, database, erasure, recovery, replacement, sqlite_errors
from controller.apiserver.storage.backups import Backups
from controller.apiserver.storage.database import DEFAULTS, DatabaseOptions
from controller.apiserver.storage.store import Store
from controller.apiserver.verbs.reading import Advice
from controller.disk import Disk
from controller.listening import host_from_here, https_url

Object = dict[str, Any]


class ApiServer:
    """One server. Port 0 picks a free port; ``crds`` are applied at every start.

    ``addresses`` returns the names and addresses, besides ``host``, at which other hosts currently reach it.
    """

    def __init__(
        self,
        state_dir: Path,
        host: str,
        port: int,
        crds: Sequence[Object],
        default_namespace: str,
        clock: Callable[[], float] = time.time,
        addresses: Callable[[], Iterable[str]] = tuple,
        limits: Limits | None = None,
        database_options: DatabaseOptions = DEFAULTS,
        elapsed: Callable[[], float] = boottime.now,
    ) -> None:
        self._directory = state_dir / "api"
        self._host = host
        self._port = port
        self._crds = crds
        self._namespace = default_namespace
        self._clock = clock
        self._elapsed = elapsed
        self._registry = Registry((*CORE, *compat.RESOURCES))
        self._advice: dict[str, Advice] = {}
        self._database = self._directory / "objects.db"
        self._backups = Backups(state_dir / "backups", clock)
        self._disk = database_options.disk or Disk(self._directory)
        daily_timer = DailyTimer(self._backups, clock, elapsed)
        self._back_up = BackupSchedule(self._database, self._backups, daily_timer, self._disk)
        self._store = Store(self._database, disk=self._disk)
        self._options = database_options
        self._pki = CertificateRenewal(self._directory / "pki", lambda: (host_from_here(host), *addresses()))
        self._limits = limits or Limits()
        self._listener: Listener | None = None
        self.socket: Path | None = None
        """The UNIX socket for our own process; None before the start, and where there can be none."""
        self.own_process: OwnProcess | None = None
        """Answers our own process without a connection; None before the start."""
        self._tasks: list[asyncio.Task[None]] = []
        self._kubeconfig: Path | None = None

    @property
    def url(self) -> str:
        """Base URL; valid once the server has started."""
        return https_url(host_from_here(self._host), self._port)

    def advise(self, resource: str, advice: Advice) -> None:
        """Add these warnings to responses to writes of a resource (``plural.group``). Call before the start."""
        self._advice[resource] = advice

    async def start(self) -> None:
        """Listen. Raises errors.SettingError."""
        # A stopped server may be started again, with the same limits.
        self._limits.stopping = False
        await asyncio.to_thread(self._pki.ensure, self._clock())
        context = await asyncio.to_thread(self._pki.server_context)
        ca = await asyncio.to_thread(self._pki.ca)
        await asyncio.to_thread(core_types.types)  # reads a file once, so that no request blocks on it
        tokens = await asyncio.to_thread(self._pki.tokens)
        lost = await self._recover()
        await self._store.open()
        # Before the first write below: a new database has nothing of release 0.1 to erase.
        new = self._store.revision == 0
        facts = {**self._options.facts, recovery.VERSION: __version__, database.FORMAT_FACT: str(database.FORMAT)}
        await self._store_facts({**facts, **(erasure.NOTHING_TO_ERASE if new else {})})
        seed.serve_definitions(self._store, self._registry)
        await seed.create_defaults(self._store, ("default", "kube-system", self._namespace), self._crds)
        namespace_defaults = NamespaceDefaults(self._store, ca)
        renewed = self._renewed(context, namespace_defaults)
        self._maintenance = Maintenance(self._store, self._pki, self._clock, renewed, self._back_up, self._elapsed)
        if lost:
            await self._record_event("DatabaseRestored", lost)
            # After the Event: a power cut in between repeats it, while the other order would lose it.
            await self._store_facts({replacement.NOTICE: ""})
        self._run_controllers(namespace_defaults, self._maintenance)
        await self._listen(self._filter_chain(tokens), context)

    async def _recover(self) -> str:
        """Ensure a usable database. Returns a message on what was lost, "" for nothing."""
        return await asyncio.to_thread(
            recovery.prepare,
            self._database,
            self._backups,
            __version__,
            backup_required=self._options.backup_required,
            witness=self._options.witness,
        )

    def _run_controllers(self, namespace_defaults: NamespaceDefaults, maintenance: Maintenance) -> None:
        found = (
            NamespaceDeletion(self._store, self._registry),
            GarbageCollector(self._store, self._registry),
            namespace_defaults,
            maintenance,
            DiskFullController(self._store, self._disk, self._record_event),
        )
        self._tasks = [asyncio.create_task(each.controller.run()) for each in found]

    async def maintain(self) -> None:
        """Run the maintenance of one minute: expiry, compaction, certificates, the daily backup."""
        await self._maintenance.once()

    async def _store_facts(self, facts: Mapping[str, str]) -> None:
        try:
            await asyncio.to_thread(database.keep_facts, self._database, facts)
        except sqlite3.Error as error:
            raise errors.SettingError(
                f"cannot write the database {self._database} ({error}): {sqlite_errors.remedy(error)}"
            ) from error

    async def _record_event(self, reason: str, message: str) -> None:
        subject = self._options.subject or {"apiVersion": "v1", "kind": "Namespace", "name": self._namespace}
        await seed.record_event(self._store, self._namespace, subject, reason, message)

    def _filter_chain(self, tokens: dict[str, Identity]) -> FilterChain:
        policy = Policy(self._registry)
        users = Users(tokens, policy, self._clock)
        health = Health(
            {"ping": lambda: ""},
            {
                "store": lambda: "" if self._store.last_write_ok else "the last write failed; see the log",
                "disk": lambda: f"{names.DISK_FULL}: {self._disk.fault}" if self._disk.fault else "",
                "shutdown": lambda: "the server is shutting down" if self._limits.stopping else "",
            },
        )
        requests = Requests(
            self._registry, self._store, Reviews(policy, users), health, self._advice, compat.VIEWS, policy, self._copy
        )
        return FilterChain(users, policy, self._limits, requests.answer)

    def _copy(self) -> Generator[bytes]:
        return copies.encode(copies.statements(self._database))

    async def stop(self) -> None:
        """Stop listening and close the store."""
        self._limits.stopping = True
        # Requests end first, then the loops that write on their own, then the store that both use.
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        if self.own_process is not None:
            await self.own_process.close()
        if self.socket is not None:
            await asyncio.to_thread(self.socket.unlink, missing_ok=True)
            self.socket = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._store.close()

    async def _listen(self, filter_chain: FilterChain, context: ssl.SSLContext) -> None:
        self._listener = Listener(filter_chain.answer, decoders=compat.DECODERS)
        try:
            self._port = await self._listener.open(self._host, self._port, context)
        except OSError as error:
            # The control loops already run and the store is open.
            await self.stop()
            raise errors.SettingError(
                f"EDGE_API_LISTEN: cannot listen on {self._host}:{self._port} ({error.strerror}): set another address"
            ) from error
        path = self._directory / local_socket.SOCKET
        if server_socket := await asyncio.to_thread(local_socket.bind, path):
            self._listener.open_local(server_socket)
            self.socket = path
        self.own_process = OwnProcess(filter_chain, self._listener.app, self._limits)

    def credentials(self, user: str) -> Credentials:
        """The credentials of a user."""
        return self._pki.credentials(user)

    def kubeconfig(self, user: str = "admin") -> Object:
        """A kubeconfig whose default namespace is the controller's."""
        found = self.credentials(user)
        authority = base64.b64encode(found.ca.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        return kubeconfigs.of(cluster, user, (found.certificate.read_bytes(), found.key.read_bytes()), self._namespace)

    def write_kubeconfig(self, path: Path) -> None:
        """Write the kubeconfig atomically with mode 0600, and again whenever its certificate is renewed."""
        self._kubeconfig = path
        content = yaml.safe_dump(self.kubeconfig(), sort_keys=False).encode()
        if not files.is_secret(path, content):  # do not rewrite it: the disk may be full
            files.write_secret(path, content)

    def _renewed(self, context: ssl.SSLContext, namespace_defaults: NamespaceDefaults) -> Callable[[], Awaitable[None]]:
        """Return a callback that gives renewed certificates to new connections, namespaces and the kubeconfig."""

        async def apply_renewal() -> None:
            # Into the context that the listener uses: new connections get the certificates without a restart.
            await asyncio.to_thread(self._pki.load, context)
            await namespace_defaults.publish(await asyncio.to_thread(self._pki.ca))
            if self._kubeconfig is not None:
                await asyncio.to_thread(self.write_kubeconfig, self._kubeconfig)

        return apply_renewal
