"""Keeps out of the service what its libraries load and nothing here uses (decision 050).

Call ``prepare`` once, before the first import of aiohttp and while there is one thread, and ``finish`` after the start.
Imports create no garbage, and each collection goes through all that they created: so there are none meanwhile.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import warnings
from collections.abc import Collection, Iterable
from types import ModuleType

# kopf logs in with the first three where they are installed, engineio has a synchronous client with the fourth, and
# requests guesses the encoding of texts with the others.
UNUSED = ("kubernetes", "kubernetes_asyncio", "pykube", "websocket", "chardet", "charset_normalizer")
ONLY_DOCKER = ("requests",)  # engineio loads it too
FORMATS = ("bz2", "lzma")  # shutil offers them for archives
# What libraries import only to offer it, or to offer what is made of it: servers, synchronous clients, models of the
# Docker SDK.
OFFERED = {
    "aiohttp": ("client_middleware_digest_auth",),
    "attr": ("validators",),
    "docker": ("client", "context", "utils.build"),
    "engineio": ("async_drivers.asgi", "async_drivers.tornado", "async_server", "middleware", "server"),
    "http": ("server",),  # prometheus_client
    "kopf": ("_kits.hierarchies", "_kits.webhooks"),
    "socketio": (
        "asgi", "async_aiopika_manager", "async_manager", "async_namespace", "async_redis_manager", "async_server",
        "async_simple_client", "client", "kafka_manager", "kombu_manager", "manager", "middleware", "namespace",
        "pubsub_manager", "redis_manager", "server", "simple_client", "tornado", "zmq_manager",
    ),
    "wsgiref": ("simple_server",),  # prometheus_client
}  # fmt: skip
CA_FILE = "SSL_CERT_FILE"
PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
# More objects than all imports create. A start that waits for long, such as for a cluster, does collect.
COLLECT_RARELY = 200_000
COLLECT_USUALLY = 700  # CPython's default


class _Empty(ModuleType):
    """A module from which every name can be imported, as an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):  # the import machinery asks for such
            raise AttributeError(name)
        return type(name, (), {})


def import_command(name: str) -> ModuleType:
    """Import the module of a command, without pydantic's search for plugins in the metadata of all packages."""
    os.environ.setdefault(PLUGINS, "__all__")
    _hide(FORMATS)
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()  # else the next collection would make up for it
        gc.enable()


def prepare(roles: Collection[str]) -> None:
    """Hide libraries that a process with these roles does not use, and import aiohttp without the system's CAs.

    Until ``finish``, garbage is collected rarely.
    """
    gc.set_threshold(COLLECT_RARELY, *gc.get_threshold()[1:])
    _hide(UNUSED if "node" in roles else (*UNUSED, *ONLY_DOCKER))
    for package, offered in OFFERED.items():
        sys.modules.update({f"{package}.{module}": _Empty(f"{package}.{module}") for module in offered})
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection dependency")
    _import_aiohttp()


def finish() -> None:
    """Collect garbage as usual again, but not among what was loaded so far, which lives as long as the process."""
    gc.freeze()
    gc.set_threshold(COLLECT_USUALLY, *gc.get_threshold()[1:])


def _hide(modules: Iterable[str]) -> None:
    # An entry of None makes an import fail as if the package was not installed.
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]


def _import_aiohttp() -> None:
    """aiohttp loads the system's CAs twice at import, 5 MB, for connections without a context; all of ours have one."""
    configured = os.environ.get(CA_FILE)
    os.environ[CA_FILE] = os.devnull
    try:
        importlib.import_module("aiohttp")
    finally:
        del os.environ[CA_FILE]
        if configured is not None:
            os.environ[CA_FILE] = configured
