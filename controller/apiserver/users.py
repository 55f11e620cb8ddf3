"""Who asks: the CN of a client certificate of our CA, or the owner of a bearer token."""

from __future__ import annotations

import hmac
from typing import Any

from aiohttp import web

from controller.apiserver import failures


class Users:
    """The tokens that are valid, by token."""

    def __init__(self, tokens: dict[str, str]) -> None:
        self._tokens = tokens

    def of(self, request: web.Request) -> str:
        """The user. Raises failures.Failure (401)."""
        connection = request.get_extra_info("ssl_object")
        certificate: dict[str, Any] = (connection.getpeercert() if connection else None) or {}
        subject = dict(attribute for relative_name in certificate.get("subject", ()) for attribute in relative_name)
        if "commonName" in subject:
            return str(subject["commonName"])
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        for token, user in self._tokens.items():
            if scheme == "Bearer" and hmac.compare_digest(token.encode(), given.encode()):
                return user
        raise failures.Failure(401, "Unauthorized", "Unauthorized")
