"""An OpenID provider in a process of ours, with ProConnect's ways, or Keycloak's; it can be told to cheat.

ProConnect refuses parameters that it does not know (Y000400), `state` and `nonce` under 32 characters, and a code
that was used; it answers userinfo as a signed JWT.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from tests.api.listening import listening

KNOWN = {"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "acr_values", "prompt", "claims"}
PKCE = {"code_challenge", "code_challenge_method"}


@cache
def made_key() -> RSAKey:
    """The provider's key; one for all tests, since making it takes longer than they do."""
    return RSAKey.generate_key(2048, auto_kid=True)


@dataclass
class OpenIDServer:
    """The provider: who will sign in next (`user`), and how it cheats (`cheat`)."""

    kind: str
    client_id: str = "clocher"
    client_secret: str = "between us"
    user: dict[str, Any] = field(default_factory=dict)
    cheat: str = ""
    url: str = ""
    key: RSAKey = field(default_factory=made_key)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    signed_out: list[dict[str, str]] = field(default_factory=list)

    def app(self) -> Flask:
        app = Flask("openid provider")
        app.get("/.well-known/openid-configuration")(self._configuration)
        app.get("/jwks")(self._jwks)
        app.get("/authorize")(self._authorize)
        app.post("/token")(self._token)
        app.get("/userinfo")(self._userinfo)
        app.get("/end")(self._end)
        return app

    def _configuration(self) -> Response:
        paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "end_session": "end"}
        addresses = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in paths.items()}
        return jsonify({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **addresses})

    def _jwks(self) -> Response:
        return jsonify(KeySet([self.key]).as_dict(private=False))

    def _authorize(self) -> Response | Any:
        asked = request.args.to_dict()
        unknown = asked.keys() - (KNOWN if self.kind == "proconnect" else KNOWN | PKCE)
        short = any(len(asked.get(name, "")) < 32 for name in ("state", "nonce"))
        if unknown or (self.kind == "proconnect" and short):
            return Response(f"Y000400: {sorted(unknown)}", 400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "at": time.monotonic()}
        return redirect(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    def _token(self) -> tuple[Response, int]:
        form = request.form
        asked = self.codes.pop(form.get("code", ""), None)
        client = (form.get("client_id"), form.get("client_secret"))
        if client != (self.client_id, self.client_secret) or asked is None or time.monotonic() - asked["at"] > 30:
            return jsonify({"error": "invalid_grant"}), 400
        if asked["redirect_uri"] != form.get("redirect_uri"):
            return jsonify({"error": "invalid_grant"}), 400
        access = secrets.token_urlsafe(16)
        self.tokens[access] = dict(self.user)
        nonce = "another nonce" if self.cheat == "nonce" else asked["nonce"]
        claims = {**self._standing(), "sub": self.user["sub"], "nonce": nonce}
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": 60, "id_token": self._sign(claims)}
        return jsonify(answer), 200

    def _standing(self) -> dict[str, Any]:
        now = int(time.time())
        iss = "https://other.example" if self.cheat == "issuer" else self.url
        aud = "somebody else" if self.cheat == "audience" else self.client_id
        return {"iss": iss, "aud": aud, "iat": now, "exp": now - 600 if self.cheat == "expired" else now + 60}

    def _sign(self, claims: dict[str, Any]) -> str:
        if self.cheat == "none":
            parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
            return ".".join([*(urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])
        if self.cheat == "secret":
            return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(self.client_secret * 4), algorithms=["HS256"])
        key = RSAKey.generate_key(2048, {"kid": self.key.kid}) if self.cheat == "key" else self.key
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, key)

    def _userinfo(self) -> Response:
        user = self.tokens[request.headers["Authorization"].removeprefix("Bearer ")]
        if self.cheat == "subject":
            user = {**user, "sub": "somebody else"}
        if self.kind == "proconnect" and self.cheat != "unsigned":
            return Response(self._sign({**self._standing(), **user}), content_type="application/jwt")
        return jsonify(user)

    def _end(self) -> str:
        self.signed_out.append(request.args.to_dict())
        return "bye"


@contextmanager
def running(kind: str) -> Iterator[OpenIDServer]:
    """A provider that answers until the block ends."""
    provider = OpenIDServer(kind)
    with listening(provider.app(), threads=2) as provider.url:
        yield provider
