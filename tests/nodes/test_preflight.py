"""The findings of `edge-controller check`: each check, passed and failed, with its remedy."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller import disk, settings
from controller.cloud.identity import Identity
from controller.network.interfaces import HostInterface
from controller.nodes import preflight
from tests.support import small_disk
from tests.support.certificates import Authority, Pair

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def with_certificate(pair: Pair, **more: str) -> settings.Settings:
    """Settings with this certificate."""
    environment = {"EDGE_CLIENT_CERT": str(pair.certificate), "EDGE_CLIENT_KEY": str(pair.key), **more}
    return settings.load({}, environment, None)


@pytest.mark.parametrize(
    ("now", "level"),
    [(NOW, "OK"), (datetime(1970, 1, 1, 0, 3, tzinfo=UTC), "FAIL"), (NOW - timedelta(days=2), "FAIL")],
)
def test_a_clock_behind_the_release_or_the_state_directory_fails(tmp_path: Path, now: datetime, level: str) -> None:
    (tmp_path / "install-id").write_text("x")
    yesterday = (NOW - timedelta(days=1)).timestamp()
    os.utime(tmp_path / "install-id", (yesterday, yesterday))
    assert preflight.clock(now, tmp_path).level == level


def test_a_state_directory_that_can_be_created_is_ok_and_not_created(tmp_path: Path) -> None:
    finding = preflight.state_directory(tmp_path / "a" / "b")
    assert (finding.level, list(tmp_path.iterdir())) == ("OK", [])


def test_a_rootless_engine_fails() -> None:
    assert preflight.engine("version 29", is_rootless=False) == ("OK", "Docker", "version 29")
    finding = preflight.engine("version 29", is_rootless=True)
    remedy = "rootless engines cannot give LAN addresses: use the system's engine"
    assert finding == ("FAIL", "Docker", remedy)


def test_a_full_disk_of_docker_fails_and_an_invisible_one_is_skipped(tmp_path: Path) -> None:
    with small_disk.tmpfs(tmp_path / "docker", size="4m") as small:
        (finding,) = preflight.engine_space(str(small.path))
        assert (finding.level, finding.subject) == ("FAIL", "Docker's disk")
        assert str(small.path) in finding.text
    assert list(preflight.engine_space("/nonexistent")) == []
    assert list(preflight.engine_space("")) == []


def test_in_a_container_the_hosts_disk_of_docker_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "HOST_ROOT", tmp_path)
    with small_disk.tmpfs(tmp_path / "docker", size="4m"):
        (finding,) = preflight.engine_space("/docker")
    assert (finding.level, finding.text) == ("FAIL", "0.0 GB free for /docker: free some space")


def test_a_state_directory_in_proc_fails() -> None:
    finding = preflight.state_directory(Path("/proc/state"))
    assert finding.level == "FAIL"
    assert "EDGE_STATE_DIR" in finding.text


@pytest.mark.parametrize(
    ("url", "level"),
    [("", "OK"), ("https://cloud.test", "OK"), ("http://localhost:1", "OK"), ("http://cloud.test", "FAIL")],
)
def test_a_cloud_without_encryption_fails(url: str, level: str) -> None:
    assert preflight.cloud(settings.load({}, {"EDGE_CLOUD_URL": url}, None)).level == level


def test_a_valid_certificate_is_shown_with_agent_and_expiry(certificates: Authority) -> None:
    finding = preflight.certificate(with_certificate(certificates.agent("07048933")), datetime.now(UTC))
    assert finding.level == "OK"
    assert "agent 07048933, valid until" in finding.text


def test_a_certificate_about_to_expire_warns(certificates: Authority) -> None:
    configured = with_certificate(certificates.agent("07048933"))
    end = Identity.load(configured.client_cert, configured.client_key).not_after
    assert preflight.certificate(configured, end - timedelta(days=5)).level == "WARN"


@pytest.mark.parametrize("kind", ["expired", "not_yet_valid", "mismatched"])
def test_an_unusable_certificate_fails(certificates: Authority, kind: str) -> None:
    pair = getattr(certificates, kind)("07048933")
    finding = preflight.certificate(with_certificate(pair), datetime.now(UTC))
    assert finding.level == "FAIL"


def test_without_a_cloud_no_certificate_is_needed(certificates: Authority) -> None:
    configured = with_certificate(certificates.expired("07048933"), EDGE_CLOUD_URL="")
    assert preflight.certificate(configured, NOW).level == "OK"


@pytest.mark.parametrize(
    ("effective", "level", "missing"),
    [("000001ffffffffff", "OK", ""), ("0000000000201000", "FAIL", "CAP_SYS_PTRACE"), ("0", "FAIL", "CAP_NET_ADMIN")],
)
def test_the_capabilities_are_read_from_the_kernel(tmp_path: Path, effective: str, level: str, missing: str) -> None:
    (tmp_path / "status").write_text(f"Name:\tx\nCapEff:\t{effective}\nCapBnd:\t0\n")
    finding = preflight.privileges(tmp_path / "status")
    assert finding.level == level
    assert missing in finding.text


@pytest.mark.parametrize(("limit", "level"), [(65_536, "OK"), (1024, "WARN")])
def test_a_low_limit_of_open_files_warns_with_the_remedy(limit: int, level: str) -> None:
    finding = preflight.open_file_limit(limit)
    assert finding.level == level
    assert ("LimitNOFILE" in finding.text) == (level == "WARN")


def test_a_missing_program_is_named_with_its_package() -> None:
    found = {
        finding.subject: finding
        for finding in preflight.programs(lambda name: "/bin/mount" if name == "mount" else None)
    }
    assert found["program mount"].level == "OK"
    assert (found["program umount"].level, "install mount" in found["program umount"].text) == ("FAIL", True)


@pytest.mark.parametrize(
    ("builtin", "modules", "loaded", "level"),
    [
        (None, None, True, "OK"),
        ("kernel/drivers/net/macvlan.ko\n", "", False, "OK"),
        ("", "kernel/drivers/net/macvlan.ko.xz:\n", False, "OK"),
        ("kernel/drivers/net/dummy.ko\n", "", False, "FAIL"),
        (None, None, False, "WARN"),
    ],
)
def test_macvlan_is_searched_in_the_kernel_and_its_modules(
    tmp_path: Path, builtin: str | None, modules: str | None, loaded: bool, level: str
) -> None:
    folder = tmp_path / "modules" / platform.release()
    folder.mkdir(parents=True)
    for name, text in (("modules.builtin", builtin), ("modules.dep", modules)):
        if text is not None:
            (folder / name).write_text(text)
    if loaded:
        (tmp_path / "loaded" / "macvlan").mkdir(parents=True)
    assert preflight.macvlan(tmp_path / "modules", tmp_path / "loaded").level == level


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        (["cgroup.controllers/"], "version 2"),
        (["memory/", "cpu,cpuacct/"], "version 1"),
        (["pids/"], "no usage figures"),
    ],
)
def test_the_cgroup_version_is_reported(tmp_path: Path, entries: list[str], text: str) -> None:
    for entry in entries:
        (tmp_path / entry).mkdir()
    assert text in preflight.cgroups(tmp_path).text


def test_parents_that_are_all_down_warn() -> None:
    down = HostInterface("eth0", "physical", is_up=False)
    up = HostInterface("eth1", "physical", is_up=True, ipv4_addresses=("192.168.1.2",))
    assert preflight.parents([]).level == "WARN"
    assert preflight.parents([down]).level == "WARN"
    assert preflight.parents([down, up]).text == "eth0 (no address, down), eth1 (192.168.1.2)"


def test_all_checks_run_on_this_host(tmp_path: Path) -> None:
    configured = settings.load({}, {"EDGE_STATE_DIR": str(tmp_path)}, None)
    subjects = [finding.subject for finding in preflight.host(configured, [], datetime.now(UTC))]
    assert len(subjects) == len(set(subjects)) >= 9


@pytest.mark.parametrize(
    ("bounds", "swap", "expected"),
    [
        ({"memory", "swap", "processes"}, 1000, {}),
        ({"memory", "processes"}, 0, {}),
        ({"memory", "processes"}, 1000, {"memory limits": "swapaccount=1"}),
        ({"swap", "processes"}, 0, {"memory limits": "cgroup_enable=memory"}),
        ({"memory", "swap"}, 0, {"process limits": "CONFIG_CGROUP_PIDS"}),
    ],
)
def test_a_host_that_cannot_enforce_limits_warns_with_the_remedy(
    tmp_path: Path, bounds: set[str], swap: int, expected: dict[str, str]
) -> None:
    (tmp_path / "meminfo").write_text(f"MemTotal: 16 kB\nSwapTotal:    {swap} kB\n")
    found = {f.subject: f.text for f in preflight.engine_limits(bounds, tmp_path / "meminfo") if f.level == "WARN"}
    assert found.keys() == expected.keys()
    assert all(expected[subject] in text for subject, text in found.items())


def test_containers_with_old_capabilities_are_listed() -> None:
    assert preflight.confinement([]).level == "OK"
    finding = preflight.confinement([f"plc-{number}" for number in range(25)])
    assert finding.level == "WARN"
    assert "plc-0, plc-1," in finding.text
    assert "and 5 more" in finding.text
    assert "docker rm -f" in finding.text
