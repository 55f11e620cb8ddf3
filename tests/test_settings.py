"""Settings: precedence of sources, and errors with a remedy for malformed values."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controller import errors, settings
from controller.listening import Listen

README = Path(__file__).parents[1] / "README.md"
NAMES = {
    "EDGE_CLOUD_URL", "EDGE_CLIENT_CERT", "EDGE_CLIENT_KEY", "EDGE_CLOUD_CA", "EDGE_STATE_DIR", "EDGE_API",
    "EDGE_API_LISTEN", "EDGE_ADDRESS_PROBE", "EDGE_DEV_DIR", "EDGE_SYS_DIR", "EDGE_API_EXPOSE", "EDGE_HTTP_LISTEN",
    "EDGE_ROLES", "EDGE_NODE_LISTEN", "EDGE_NODE_TOKEN",
    "EDGE_NAMESPACE", "EDGE_FURTHER_NAMESPACES", "EDGE_NODE_NAME", "DOCKER_HOST", "EDGE_RUNTIME_IMAGE",
    "EDGE_RUNTIME_VERSION", "EDGE_RUNTIME_TEMPLATE", "EDGE_RUNTIME_READS", "EDGE_IMAGE_PREFIXES", "EDGE_INTERNAL_POOL",
    "EDGE_PIDS_LIMIT", "EDGE_DEDICATE_ADDRESSED",
    "EDGE_COMMAND_SECONDS", "EDGE_CONTRACTS", "EDGE_HEARTBEAT_SECONDS", "EDGE_LOG_FORMAT",
    "EDGE_LOG_LEVEL", "EDGE_UPGRADE_WITHOUT_BACKUP",
}  # fmt: skip


def test_the_variables_have_their_documented_names() -> None:
    assert {settings.variable(field) for field in settings.Settings.model_fields} == NAMES


def test_the_readme_contains_the_table_of_settings() -> None:
    shown = README.read_text().partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    assert shown.strip() == settings.table(), "put what settings.table() returns between the marks"


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('runtime_version = "file"\nruntime_image = "file"\nnamespace = "file"\n')
    environment = {"EDGE_RUNTIME_VERSION": "environment", "EDGE_RUNTIME_IMAGE": "environment"}
    loaded = settings.load({"runtime_version": "flag", "runtime_image": None}, environment, file)
    found = (loaded.runtime_version, loaded.runtime_image, loaded.namespace, loaded.contracts)
    assert found == ("flag", "environment", "file", "strict")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("edge.yaml", "EDGE_CLOUD_URL: ''\nheartbeat_seconds: 1"),
        ("edge.toml", 'EDGE_CLOUD_URL = ""\nheartbeat-seconds = 1'),
        ("edge.json", '{"cloud_url": "", "HEARTBEAT_SECONDS": 1}'),
    ],
)
def test_keys_of_a_file_may_be_fields_variables_or_flags(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    loaded = settings.load({}, {}, tmp_path / name)
    assert (loaded.cloud_url, loaded.heartbeat_seconds) == ("", 1)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("api_listen", "127.0.0.2:1", Listen("127.0.0.2", 1)),
        ("api_listen", "[::1]:6445", Listen("::1", 6445)),
        ("image_prefixes", "ghcr.io/a/, docker.io/b ,", ("ghcr.io/a/", "docker.io/b")),
        ("image_prefixes", "", ()),
        ("further_namespaces", "line-a, line-b", ("line-a", "line-b")),
        ("internal_pool", "172.20.0.0/16", ipaddress.IPv4Network("172.20.0.0/16")),
        ("cloud_url", "https://cloud.test:8443/", "https://cloud.test:8443"),
        ("runtime_template", "{}", {}),
        ("runtime_template", "env: [{name: A, value: b}]", {"env": [{"name": "A", "value": "b"}]}),
        ("command_seconds", "45", 45.0),
    ],
)
def test_values_are_parsed_from_text(field: str, text: str, value: Any) -> None:
    assert getattr(settings.load({}, {settings.variable(field): text}, None), field) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("EDGE_CLOUD_URL", "api.getedge.me"),
        ("EDGE_CLOUD_URL", "https://host/path"),
        ("EDGE_API", "remote"),
        ("EDGE_API_LISTEN", "6445"),
        ("EDGE_API_LISTEN", "127.0.0.1:99999"),
        ("EDGE_NAMESPACE", "Edge"),
        ("EDGE_FURTHER_NAMESPACES", "line-a,*"),
        ("EDGE_NODE_NAME", ""),
        ("EDGE_RUNTIME_TEMPLATE", "[]"),
        ("EDGE_RUNTIME_TEMPLATE", "{"),
        ("EDGE_RUNTIME_TEMPLATE", "@/no/such/file"),
        ("EDGE_RUNTIME_TEMPLATE", "colour: red"),
        ("EDGE_RUNTIME_TEMPLATE", "volumes: [{name: UPPER}]"),
        ("EDGE_INTERNAL_POOL", "10.213.0.0"),
        ("EDGE_INTERNAL_POOL", "10.213.0.1/16"),
        ("EDGE_INTERNAL_POOL", "8.8.0.0/16"),
        ("EDGE_COMMAND_SECONDS", "soon"),
        ("EDGE_COMMAND_SECONDS", "0"),
        ("EDGE_RUNTIME_READS", "api/status"),
        ("EDGE_RUNTIME_READS", "/api/status,/api/../x"),
        ("EDGE_RUNTIME_READS", "/api//status"),
        ("EDGE_RUNTIME_READS", "/api/%73tatus"),
        ("EDGE_RUNTIME_READS", "/api/status?x=1"),
        ("EDGE_RUNTIME_READS", ",".join(f"/{number}" for number in range(65))),
        ("EDGE_CONTRACTS", "loose"),
        ("EDGE_ROLES", "leader"),
        ("EDGE_ROLES", ""),
        ("EDGE_HEARTBEAT_SECONDS", "-1"),
        ("EDGE_LOG_FORMAT", "xml"),
        ("EDGE_LOG_LEVEL", "loud"),
    ],
)
def test_a_malformed_value_is_reported_in_one_sentence_with_its_name(name: str, text: str) -> None:
    with pytest.raises(errors.SettingError) as raised:
        settings.load({}, {name: text}, None)
    assert str(raised.value).startswith(f"{name} is malformed: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("edge.toml", "cloud_ulr = 'x'", "did you mean cloud_url?"),
        ("edge.toml", "zzz = 1", "valid settings are cloud_url, "),
        ("edge.toml", "= 1", "cannot be read"),
        ("edge.yaml", "- a", "contains no settings"),
        ("edge.yaml", "a: [", "cannot be read"),
    ],
)
def test_a_malformed_file_is_reported_in_one_sentence_with_its_path(
    tmp_path: Path, name: str, text: str, part: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(errors.SettingError) as raised:
        settings.load({}, {}, tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)
    assert part in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingError, match=re.escape(str(tmp_path / "none.toml"))):
        settings.load({}, {}, tmp_path / "none.toml")


def test_a_template_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("realtime: {enabled: true}")
    loaded = settings.load({}, {"EDGE_RUNTIME_TEMPLATE": f"@{tmp_path}/template.yaml"}, None)
    assert loaded.runtime_template == {"realtime": {"enabled": True}}


def test_the_default_template_is_for_openplc() -> None:
    template = settings.load({}, {}, None).runtime_template
    assert template["volumes"] == [{"name": "runtime", "mountPath": "/var/run/runtime"}]
    assert template["realtime"] == {"enabled": True}


def test_paths_may_start_with_a_tilde() -> None:
    loaded = settings.load({}, {}, None)
    assert loaded.client_cert == Path("~/.mtls/client.crt").expanduser()


def test_settings_are_immutable() -> None:
    loaded = settings.load({}, {}, None)
    with pytest.raises(ValidationError):
        loaded.namespace = "other"  # type: ignore[misc]  # pydantic must refuse it at run time, too


def test_unknown_variables_are_ignored() -> None:
    assert settings.load({}, {"EDGE_UNKNOWN": "x", "NAMESPACE": "y"}, None).namespace == "edge"


@pytest.mark.parametrize("address", ["0.0.0.0:6445", "[::]:6445", "192.168.1.5:6445", "edge-7.plant:6445"])
def test_exposing_the_api_needs_an_explicit_setting(address: str) -> None:
    with pytest.raises(errors.SettingError, match=r"EDGE_API_LISTEN .* set EDGE_API_EXPOSE=true .* 127\.0\.0\.1"):
        settings.load({}, {"EDGE_API_LISTEN": address}, None)
    for environment in ({"EDGE_API_EXPOSE": "true"}, {"EDGE_API": "cluster"}):
        settings.load({}, {"EDGE_API_LISTEN": address, **environment}, None)


@pytest.mark.parametrize("address", ["127.0.0.1:6445", "127.3.2.1:6445", "[::1]:6445", "localhost:6445"])
def test_loopback_addresses_need_no_setting(address: str) -> None:
    assert not settings.load({}, {"EDGE_API_LISTEN": address}, None).api_expose


@pytest.mark.parametrize("roles", ["link", "node", "pods", "link,pods,node"])
def test_roles_can_only_be_chosen_in_a_cluster(roles: str) -> None:
    found = settings.load({}, {"EDGE_API": "cluster", "EDGE_ROLES": roles}, None)
    assert found.roles == tuple(roles.split(","))
    with pytest.raises(errors.SettingError, match="needs EDGE_API=cluster"):
        settings.load({}, {"EDGE_ROLES": roles}, None)


@pytest.mark.parametrize("path", ["", "state", "./state", "../state"])
def test_the_state_directory_is_an_absolute_path(path: str) -> None:
    with pytest.raises(errors.SettingError, match=r"EDGE_STATE_DIR .* is not an absolute path"):
        settings.load({}, {"EDGE_STATE_DIR": path}, None)


def test_the_state_directory_may_be_below_the_home() -> None:
    assert settings.load({}, {"EDGE_STATE_DIR": "~/state"}, None).state_dir == Path.home() / "state"


def test_only_a_cluster_limits_the_namespaces_that_are_served() -> None:
    environment = {"EDGE_NAMESPACE": "edge", "EDGE_FURTHER_NAMESPACES": "line"}
    assert settings.load({}, environment, None).served_namespaces.serves("dev")
    served = settings.load({"api": "cluster"}, environment, None).served_namespaces
    assert [name for name in ("edge", "line", "dev") if served.serves(name)] == ["edge", "line"]
