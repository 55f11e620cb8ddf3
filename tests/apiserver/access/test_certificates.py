"""Certificates of the embedded API and its users: validity, and trust after renewal."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import aiohttp
import pytest
import yaml

from controller import certificates
from controller.apiserver.access import kubeconfigs
from controller.apiserver.access.kubeconfig_issuer import KubeconfigIssuer
from controller.apiserver.access.pki import AUTHORITY_DAYS, RENEW_AUTHORITY_DAYS, Pki
from controller.apiserver.server import ApiServer
from controller.machinery import endpoint
from tests.apiserver.conftest import CONFIG_MAPS, Clock, issued, kubectl, session, status

DAY = 86_400.0


async def test_an_expired_certificate_is_rejected_also_on_a_kept_connection(
    server: ApiServer, tmp_path: Path, clock: Clock
) -> None:
    async with issued(tmp_path, "viewer", 3600, clock) as viewer:
        assert await status(viewer, "GET", CONFIG_MAPS) == 200
        clock.ahead = 3601
        assert await status(viewer, "GET", CONFIG_MAPS) == 401


async def test_tls_rejects_a_certificate_of_another_ca(server: ApiServer, tmp_path: Path) -> None:
    config, other = await asyncio.to_thread(server.kubeconfig), Pki(tmp_path / "other")
    await asyncio.to_thread(other.ensure, time.time())
    foreign = await asyncio.to_thread(other.issue_client, "admin", 60.0, time.time())
    cluster = config["clusters"][0]["cluster"]
    async with session(kubeconfigs.of(cluster, "admin", foreign, "edge")) as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get("/api")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.3", "127.0.0.4"], ids=["itself", "known", "unknown"])
async def test_an_exposed_server_is_reached_by_any_name(tmp_path: Path, address: str) -> None:
    opened = ApiServer(tmp_path, "0.0.0.0", 0, [], "edge", addresses=lambda: ["127.0.0.3"])
    await opened.start()
    await asyncio.to_thread(opened.write_kubeconfig, tmp_path / "kubeconfig")
    elsewhere = opened.url.replace("127.0.0.1", address)
    made = await asyncio.to_thread(KubeconfigIssuer(tmp_path, tmp_path / "kubeconfig").make, "viewer", 60.0, elsewhere)
    await asyncio.to_thread((tmp_path / "viewer").write_text, yaml.safe_dump(made))
    assert ("tls-server-name" in made["clusters"][0]["cluster"]) == (address == "127.0.0.4")
    assert "viewer" in await kubectl(tmp_path / "viewer", "auth", "whoami")
    await opened.stop()


async def test_certificates_are_renewed_while_the_server_runs(server: ApiServer, tmp_path: Path, clock: Clock) -> None:
    first = await asyncio.to_thread((tmp_path / "kubeconfig").read_text)
    kept = await endpoint.from_kubeconfig(tmp_path / "kubeconfig")
    context = await asyncio.to_thread(kept.ssl_context)

    def served() -> str:
        port = int(server.url.rpartition(":")[2])
        return ssl.get_server_certificate(("127.0.0.1", port))

    before = await asyncio.to_thread(served)
    clock.ahead = 310 * DAY
    await server.maintain()
    assert await asyncio.to_thread(served) != before
    assert await asyncio.to_thread((tmp_path / "kubeconfig").read_text) != first
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/api", ssl=context) as answer:
        assert answer.status == 200, "the former kubeconfig is still accepted"


async def test_clients_that_trust_a_former_ca_certificate_still_connect(server: ApiServer, clock: Clock) -> None:
    found = await asyncio.to_thread(server.credentials, "admin")
    former = await asyncio.to_thread(found.ca.read_text)
    context = ssl.create_default_context(cadata=former)
    clock.ahead = (AUTHORITY_DAYS - RENEW_AUTHORITY_DAYS + 1) * DAY
    await server.maintain()
    assert await asyncio.to_thread(found.ca.read_text) != former
    headers = {"Authorization": f"Bearer {found.token}"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), headers=headers) as http,
        http.get(f"{server.url}{CONFIG_MAPS}/kube-root-ca.crt") as answer,
    ):
        published = (await answer.json())["data"]["ca.crt"]
    assert published == await asyncio.to_thread(found.ca.read_text)


def test_an_issued_certificate_expires_as_requested(tmp_path: Path) -> None:
    kept = Pki(tmp_path)
    kept.ensure(time.time())
    pair = certificates.read(*kept.issue_client("viewer", 60, time.time()))
    assert pair.certificate.not_valid_after_utc.timestamp() <= time.time() + 60
