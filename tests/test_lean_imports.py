"""What the service keeps out of its process; each in a process of its own, because an import cannot be undone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from controller import lean_imports
from tests.support import command

CAS = "aiohttp.connector._SSL_CONTEXT_VERIFIED.get_ca_certs()"


def result_of(roles: tuple[str, ...], code: str) -> str:
    """What ``code`` prints after the preparation for these roles."""
    prepared = f"import os, sys; from controller import lean_imports; lean_imports.prepare({roles}); {code}"
    return command.run(sys.executable, "-W", "error", "-c", prepared).stdout.strip()


def test_aiohttp_is_imported_without_the_cas_of_the_system() -> None:
    assert result_of(("link", "node"), f"import aiohttp; print({CAS})") == "[]"


@pytest.mark.parametrize(("setting", "kept"), [("del os.environ['SSL_CERT_FILE']", "None"), ("", "/ca.pem")])
def test_the_cas_that_the_environment_names_are_kept_for_others(setting: str, kept: str) -> None:
    before = "import os; os.environ['SSL_CERT_FILE'] = '/ca.pem'" + (f"; {setting}" if setting else "")
    code = f"{before}; from controller import lean_imports; lean_imports.prepare(['node'])"
    printed = command.run(sys.executable, "-c", f"{code}; print(os.environ.get('SSL_CERT_FILE'))").stdout.strip()
    assert printed == kept


def test_a_node_imports_dockers_http_client_without_what_guesses_encodings() -> None:
    assert result_of(("node",), "import requests; print(requests.compat.chardet)") == "None"


def test_a_leader_imports_the_client_of_the_link_without_dockers_http_client() -> None:
    code = "import socketio; print([m for m in ('requests', 'urllib3', 'websocket') if sys.modules.get(m)])"
    assert result_of(("link", "pods"), code) == "[]"


def test_libraries_are_imported_without_what_they_only_offer() -> None:
    code = "import aiohttp.web, docker, kopf, prometheus_client, socketio; names = lean_imports.OFFERED.items()"
    loaded = "[m for p, ms in names for m in ms if sys.modules[f'{p}.{m}'].__spec__]"
    used = "(aiohttp.web.Response, docker.APIClient, kopf.operator, prometheus_client.Gauge, socketio.AsyncClient)"
    origins = f"{{sys.modules[name.__module__].__spec__.name.split('.')[0] for name in {used}}}"
    assert result_of(("link", "node"), f"{code}; print({loaded}, len({origins}))") == "[] 5"


@pytest.mark.parametrize(
    "module", [f"{package}.{module}" for package, offered in lean_imports.OFFERED.items() for module in offered]
)
def test_every_module_that_is_left_out_exists(module: str) -> None:
    package, *rest = module.split(".")
    folder = importlib.util.find_spec(package)
    assert folder is not None
    assert folder.submodule_search_locations
    path = Path(folder.submodule_search_locations[0], *rest)
    assert path.with_suffix(".py").exists() or path.is_dir()


def test_garbage_is_collected_as_usual_after_the_start_but_not_among_what_was_loaded() -> None:
    code = "import gc; rare = gc.get_threshold(); lean_imports.finish(); print(rare[0] > 10**5, gc.get_threshold()[0])"
    assert result_of(("node",), f"{code}; print(len(gc.get_objects()) < gc.get_freeze_count())") == "True 700\nTrue"


def test_the_api_starts_before_what_only_others_need_is_imported() -> None:
    code = "import controller.cli.run, controller.manager.manager, controller.apiserver.server"
    later = ("controller.api.runtimes", "kopf", "prometheus_client", "psutil", "socketio")
    assert result_of(("link", "node"), f"{code}; print([m for m in {later} if m in sys.modules])") == "[]"


def test_a_command_is_imported_without_collections_of_garbage_and_without_a_search_for_plugins() -> None:
    collections = "sum(generation['collections'] for generation in gc.get_stats())"
    imported = f"before = {collections}; lean_imports.import_command('controller.cli.run'); after = {collections}"
    plugins = "sys.modules['pydantic.plugin._loader']._plugins"
    code = f"import gc, sys; from controller import lean_imports; {imported}; print(after - before, {plugins})"
    assert command.run(sys.executable, "-c", code).stdout.strip() == "0 None"
