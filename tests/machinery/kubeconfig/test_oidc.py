"""The auth-provider oidc: an id-token is used until it ends, then renewed, and what the provider replaced is stored."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from controller import errors
from controller.machinery import endpoint
from tests.support.certificates import Authority
from tests.support.kubeconfigs import document, encoded, write


def id_token(expires_at: float) -> str:
    """A JWT that ends then; nobody here verifies its signature."""
    parts = ({"alg": "RS256"}, {"sub": "plc", "exp": int(expires_at)}, "signature")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


class Provider:
    """Accepts each refresh token once, as many providers do."""

    def __init__(self) -> None:
        self.url = ""
        self.refresh_token = "refresh-1"
        self.issued = 0
        self.requests: list[str] = []

    async def configuration(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        return web.json_response({"token_endpoint": f"{self.url}/token"})

    async def token(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if (await request.post())["refresh_token"] != self.refresh_token:
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.issued += 1
        self.refresh_token = f"refresh-{self.issued + 1}"
        made = id_token(time.time() + 3600 * self.issued)
        return web.json_response(
            {"id_token": made, "refresh_token": self.refresh_token, "access_token": "a", "token_type": "bearer"}
        )


@pytest.fixture
async def provider(certificates: Authority) -> AsyncIterator[Provider]:
    """A provider with a certificate of the test's authority."""
    made, pair = Provider(), certificates.server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    await asyncio.to_thread(context.load_cert_chain, pair.certificate, pair.key)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", made.configuration)
    app.router.add_post("/token", made.token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    made.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def kubeconfig(folder: Path, url: str, token: str, **config: Any) -> Path:
    """A kubeconfig with this provider and id-token."""
    known = {"idp-issuer-url": url, "client-id": "edge", "client-secret": "s", "id-token": token}
    provider = {"name": "oidc", "config": {**known, "refresh-token": "refresh-1", **config}}
    return write(folder / "kubeconfig", document({"certificate-authority": "ca.crt"}, {"auth-provider": provider}))


@pytest.fixture(autouse=True)
def ca(tmp_path: Path) -> None:
    """The file that the kubeconfig names, relative to itself."""
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----")


async def test_a_valid_token_is_used_as_it_is(tmp_path: Path) -> None:
    token = id_token(4_000_000_000)
    found = await endpoint.from_kubeconfig(kubeconfig(tmp_path, "https://127.0.0.1:1", token))
    assert (found.token, found.expires_at) == (token, 4_000_000_000)


async def test_an_expired_token_is_renewed_and_stored(
    tmp_path: Path, provider: Provider, certificates: Authority
) -> None:
    authority = {"idp-certificate-authority-data": encoded(certificates.ca)}
    path = kubeconfig(tmp_path, provider.url, id_token(time.time() - 60), **authority)
    before = yaml.safe_load(path.read_text())
    found = await endpoint.from_kubeconfig(path)
    assert found.expires_at
    assert found.expires_at > time.time() + 3000
    after = yaml.safe_load(path.read_text())
    config = after["users"][0]["user"]["auth-provider"]["config"]
    assert (config["id-token"], config["refresh-token"]) == (found.token, "refresh-2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config |= {key: before["users"][0]["user"]["auth-provider"]["config"][key] for key in ("id-token", "refresh-token")}
    assert after == before
    assert (await endpoint.from_kubeconfig(path)).token == found.token
    assert provider.issued == 1


async def test_a_provider_with_an_unknown_certificate_gets_no_secret(tmp_path: Path, provider: Provider) -> None:
    with pytest.raises(errors.SettingError) as raised:
        await endpoint.from_kubeconfig(kubeconfig(tmp_path, provider.url, id_token(time.time() - 60)))
    assert "provider oidc" in str(raised.value)
    assert provider.requests == []


async def test_a_rejected_refresh_token_is_reported_without_the_token(
    tmp_path: Path, provider: Provider, certificates: Authority
) -> None:
    authority = {"idp-certificate-authority-data": encoded(certificates.ca)}
    provider.refresh_token = "another"
    with pytest.raises(errors.SettingError, match="provider oidc") as raised:
        await endpoint.from_kubeconfig(kubeconfig(tmp_path, provider.url, id_token(time.time() - 60), **authority))
    assert "refresh-1" not in str(raised.value)


async def test_what_is_no_token_is_reported(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingError, match="auth-provider oidc gives no token"):
        await endpoint.from_kubeconfig(kubeconfig(tmp_path, "https://127.0.0.1:1", "no-token"))
