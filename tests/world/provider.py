"""An OpenID provider on a real socket: discovery, authorisation, token and keys, for one client.

It signs in whom it was told to (``claims``) without asking, as one does whose session is still open.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.world.site import Site, Sites

CLIENT, SECRET = "cryptosatx", "a-secret-of-the-provider"


@dataclass
class Provider(Sites):
    """`with Provider() as provider`: ``claims`` are of whom it signs in; ``age`` is how many seconds
    ago it says it did. ``calls`` are what was asked of it, ``tokens`` what it gave."""

    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "0001"})
    age: int = 0
    calls: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__("provider")
        self._sites["provider"] = Site(self._app, "localhost")
        self._key = RSAKey.generate_key(2048, auto_kid=True)
        self._broken = False
        self._given: dict[str, Mapping[str, str]] = {}

    @property
    def url(self) -> str:
        return f"http://localhost:{self._sites['provider'].port}"

    @property
    def settings(self) -> dict[str, str]:
        """What the product is told about it."""
        return {
            "CRYPTOSATX_OIDC_METADATA_URL": f"{self.url}/.well-known/openid-configuration",
            "CRYPTOSATX_OIDC_CLIENT_ID": CLIENT,
            "CRYPTOSATX_OIDC_CLIENT_SECRET": SECRET,
            "CRYPTOSATX_OIDC_NAME": "Example",
            "CRYPTOSATX_OIDC_ROLES": "desk=trader,research=analyst,ops=admin",
        }

    @contextmanager
    def failing(self) -> Iterator[None]:
        """It gives no tokens inside the block."""
        self._broken = True
        yield
        self._broken = False

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._describe)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/keys", self._keys)
        return app

    async def _describe(self, _: web.Request) -> web.Response:
        self.calls.append("describe")
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _authorize(self, request: web.Request) -> web.Response:
        self.calls.append("authorize")
        asked = request.query
        if asked["client_id"] != CLIENT or asked["response_type"] != "code":
            return web.Response(status=400, text="unknown client")
        code = uuid4().hex
        self._given[code] = dict(asked)
        back = urlencode({"code": code, "state": asked["state"]})
        raise web.HTTPFound(f"{asked['redirect_uri']}?{back}")

    async def _token(self, request: web.Request) -> web.Response:
        self.calls.append("token")
        form = await request.post()
        asked = self._given.pop(str(form["code"]), None)
        if self._broken or asked is None or not (self._is_client(request) and _proves(asked, form)):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time()) - self.age
        claims = {
            "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 3_600, "nonce": asked["nonce"],
        } | self.claims  # fmt: skip
        header = {"alg": "RS256", "kid": self._key.kid}
        self.tokens.append(jwt.encode(header, claims, self._key))
        self.tokens.append(f"access-{uuid4().hex}")
        return web.json_response(
            {"id_token": self.tokens[-2], "access_token": self.tokens[-1], "token_type": "Bearer"}
        )

    async def _keys(self, _: web.Request) -> web.Response:
        self.calls.append("keys")
        return web.json_response({"keys": [self._key.as_dict(private=False)]})

    def _is_client(self, request: web.Request) -> bool:
        wanted = b64encode(f"{quote(CLIENT)}:{quote(SECRET)}".encode()).decode()
        return request.headers.get("authorization", "") == f"Basic {wanted}"


def _proves(asked: Mapping[str, str], form: Mapping[str, Any]) -> bool:
    """Whether who brings the code is who asked for it (PKCE)."""
    digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
