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
from collections.abc import Collection
from types import ModuleType

# kopf logs in with the first three where they are installed, engineio has a synchronous client with the fourth, and
# requests guesses the encoding of texts with the others.
UNUSED = ("kubernetes", "kubernetes_asyncio", "pykube", "websocket", "chardet", "charset_normalizer")
ONLY_DOCKER = ("requests",)  # engineio loads it too
CA_FILE = "SSL_CERT_FILE"
PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
# More objects than all imports create. A start that waits for long, such as for a cluster, does collect.
COLLECT_RARELY = 200_000
COLLECT_USUALLY = 700  # CPython's default


def import_command(name: str) -> ModuleType:
    """Import the module of a command, without pydantic's search for plugins in the metadata of all packages."""
    os.environ.setdefault(PLUGINS, "__all__")
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
    hidden = UNUSED if "node" in roles else (*UNUSED, *ONLY_DOCKER)
    # An entry of None makes an import fail as if the package was not installed.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection dependency")
    _import_aiohttp()


def finish() -> None:
    """Collect garbage as usual again, but not among what was loaded so far, which lives as long as the process."""
    gc.freeze()
    gc.set_threshold(COLLECT_USUALLY, *gc.get_threshold()[1:])


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
