"""OpenID Connect: sign-in through Keycloak and its like, and through ProConnect.

ProConnect differs: it refuses query parameters that it does not know (no PKCE), wants `state` and `nonce` of 32
characters or more, answers userinfo as a signed JWT, and calls the family name `usual_name`.
Its documentation: https://partenaires.proconnect.gouv.fr/docs/fournisseur-service
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, cast
from urllib.parse import urlencode

import requests
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from orchestrator.errors import Unauthenticated, Unavailable
from orchestrator.settings import OpenIDProvider
from tenants.identities import Claims

log = structlog.get_logger(__name__)

ALGORITHMS = ("RS256", "ES256", "PS256")  # never `none`, and no shared secret that could pass for a public key
LEEWAY = 30  # seconds that clocks may differ
FRESH = 3600.0  # seconds for which a provider's addresses and keys are kept
SCOPES = {"standard": "openid profile email", "proconnect": "openid given_name usual_name email siret uid"}
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True)
class Started:
    """A sign-in under way: where to send the browser, and what it must bring back."""

    url: str
    state: str
    nonce: str
    verifier: str | None


@dataclass(frozen=True)
class Vouched:
    """Who signed in, and the token that signing out needs."""

    claims: Claims
    id_token: str


@dataclass
class Provider:
    """One provider as a relying party sees it."""

    chosen: OpenIDProvider
    redirect_uri: str
    _metadata: dict[str, Any] = field(default_factory=dict)
    _keys: KeySet | None = None
    _read_at: float = 0.0

    def start(self) -> Started:
        """Begin a sign-in. Raises provider_unavailable."""
        state, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(48) if self._pkce else None
        url, _ = self._client().create_authorization_url(
            self._discover()["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier
        )
        return Started(url, state, nonce, verifier)

    def finish(self, started: dict[str, Any], answer: dict[str, str]) -> Vouched:
        """Judge what the browser brought back, fetch the tokens, verify each. Raises sign_in_refused."""
        if not secrets.compare_digest(answer.get("state", "").encode(), str(started["state"]).encode()):
            raise _refused("state")
        if answer.get("iss", self.chosen.issuer) != self.chosen.issuer:  # RFC 9207: another provider's answer
            raise _refused("iss")
        if "code" not in answer:
            raise _refused(f"no code: {answer.get('error', '')[:100]}")
        token = self._fetch_token(answer["code"], started.get("verifier"))
        claims = self._verified(token["id_token"], nonce=str(started["nonce"]))
        return Vouched(self._tell(self._userinfo(token["access_token"], claims)), token["id_token"])

    def sign_out_url(self, id_token: str, back: str) -> str | None:
        """Where to sign out at the provider too; None when it has no such address."""
        end = self._discover().get("end_session_endpoint")
        if not end:
            return None
        asked = {"id_token_hint": id_token, "state": secrets.token_urlsafe(32), "post_logout_redirect_uri": back}
        return f"{end}?{urlencode(asked)}"

    @property
    def _pkce(self) -> bool:
        return self.chosen.kind == "standard" if self.chosen.pkce is None else self.chosen.pkce

    def _client(self) -> OAuth2Session:
        return OAuth2Session(
            self.chosen.client_id,
            self.chosen.client_secret.get_secret_value(),
            token_endpoint_auth_method="client_secret_post",  # noqa: S106  the name of a method
            scope=SCOPES[self.chosen.kind],
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256" if self._pkce else None,
            default_timeout=self.chosen.timeout,
        )

    def _fetch_token(self, code: str, verifier: str | None) -> dict[str, str]:
        more = {"code_verifier": verifier} if verifier else {}
        with self._client() as client:
            try:
                token = client.fetch_token(self._discover()["token_endpoint"], code=code, **more)
            except AuthlibBaseError as error:
                raise _refused(f"token: {error.error}") from error
            except (requests.RequestException, ValueError) as error:
                raise _unavailable(str(error)) from error
        if not isinstance(token.get("id_token"), str) or not isinstance(token.get("access_token"), str):
            raise _refused("tokens missing")
        return cast(dict[str, str], token)

    def _userinfo(self, access_token: str, claims: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._discover().get("userinfo_endpoint")
        if not endpoint:
            return claims
        answer = self._get(endpoint, {"Authorization": f"Bearer {access_token}"})
        kind = answer.headers.get("Content-Type", "").split(";")[0].strip()
        if kind == "application/jwt":
            told = self._verified(answer.text.strip())
        elif self.chosen.kind == "proconnect":
            raise _refused("userinfo is not signed")
        else:
            told = _json(answer)
        if told.get("sub") != claims["sub"]:  # OpenID Connect Core, 5.3.2
            raise _refused("userinfo of somebody else")
        return {**claims, **told}

    def _tell(self, told: dict[str, Any]) -> Claims:
        trusted = self.chosen.kind == "proconnect" or told.get("email_verified") is True
        family = told.get("usual_name") or told.get("family_name") or ""
        name = " ".join(part for part in (told.get("given_name"), family) if part) or told.get("name") or ""
        siret = told.get("siret")
        return Claims(
            self.chosen.issuer,
            str(told["sub"]),
            str(told["email"]) if trusted and told.get("email") else None,
            str(name),
            str(siret) if siret else None,
        )

    def _verified(self, token: str, nonce: str | None = None) -> dict[str, Any]:
        """The claims of a signed token: of an ID token with `nonce`, else of userinfo."""
        asked: dict[str, Any] = {
            "iss": {"essential": True, "value": self.chosen.issuer},
            "aud": {"essential": True, "value": self.chosen.client_id},
            "sub": {"essential": True},
        }
        if nonce is not None:
            asked |= {"nonce": {"essential": True, "value": nonce}, "exp": {"essential": True}}
        try:
            claims = self._decode(token)
            jwt.JWTClaimsRegistry(leeway=LEEWAY, **asked).validate(claims)
        except (JoseError, ValueError) as error:
            raise _refused(f"{type(error).__name__}: {error}") from error
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self.chosen.client_id:
            raise _refused("azp")
        return claims

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._jwks(), algorithms=ALGORITHMS).claims
        except InvalidKeyIdError:  # a key that we have not seen: perhaps the provider has a new one since
            return jwt.decode(token, self._jwks(again=True), algorithms=ALGORITHMS).claims

    def _jwks(self, *, again: bool = False) -> KeySet:
        uri = self._discover()["jwks_uri"]
        if self._keys is None or again:
            try:
                self._keys = KeySet.import_key_set(cast(Any, _json(self._get(uri))))
            except (JoseError, ValueError, KeyError) as error:
                raise _unavailable(f"keys: {error}") from error
        return self._keys

    def _discover(self) -> dict[str, Any]:
        if not self._metadata or monotonic() - self._read_at > FRESH:
            found = _json(self._get(f"{self.chosen.issuer.rstrip('/')}/.well-known/openid-configuration"))
            if found.get("issuer") != self.chosen.issuer or not all(found.get(name) for name in NEEDED):
                raise _unavailable("its configuration names another issuer, or lacks an address")
            self._metadata, self._keys, self._read_at = found, None, monotonic()
        return self._metadata

    def _get(self, url: str, headers: dict[str, str] | None = None) -> requests.Response:
        try:
            answer = requests.get(url, headers=headers, timeout=self.chosen.timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise _unavailable(str(error)) from error
        if answer.status_code != 200:
            raise _unavailable(f"{url} answers {answer.status_code}")
        return answer


def providers(chosen: tuple[OpenIDProvider, ...], public_url: str) -> dict[str, Provider]:
    """The providers of the settings, by name."""
    return {one.name: Provider(one, f"{public_url}/sign-in/with/{one.name}/back") for one in chosen}


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except requests.JSONDecodeError as error:
        raise _unavailable("no JSON") from error
    if not isinstance(found, dict):
        raise _unavailable("no JSON object")
    return found


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(
        "sign_in_refused",
        "La connexion par votre fournisseur d’identité n’a pas abouti.",
        "Recommencez ; si cela dure, prévenez la DSI.",
        detail=why,
    )


def _unavailable(why: str) -> Unavailable:
    return Unavailable(
        "provider_unavailable",
        "Le fournisseur d’identité ne répond pas comme il faut.",
        "Réessayez dans un instant, ou connectez-vous par mot de passe.",
        detail=why,
    )
