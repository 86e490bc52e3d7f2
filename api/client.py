"""A client of the JSON API, for the command line and the demo."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

import requests

from orchestrator.errors import (
    ClocherError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Stale,
    Text,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from orchestrator.settings import Remote

TIMEOUT = 30.0  # seconds
BLOCK = 1 << 20  # bytes of a big file at once
KINDS: dict[int, type[ClocherError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Stale,
    429: TooMany,
}
TOLD = ("type", "title", "status", "detail", "code", "action", "retryable")


@dataclass(frozen=True)
class Client:
    """Where the API is, and the token to show."""

    url: str
    token: str

    def call(self, method: str, path: str, body: Any = None, *, request_key: str | None = None, **query: Any) -> Any:
        """One call; the answer's JSON. A refusal comes back as the error that the server raised, with its code."""
        answer = self._ask(method, path, body, request_key, query)
        return answer.json() if answer.content else None

    def file(self, path: str) -> tuple[str, bytes]:
        """A file and its name."""
        answer = self._ask("GET", path, None, None, {})
        said = answer.headers.get("Content-Disposition", "")
        name = said.partition("filename=")[2].strip('"').rpartition("/")[2]
        return name or path.rpartition("/")[2], answer.content

    def save(self, path: str, into: IO[bytes]) -> None:
        """Write a file that may be big, as it comes. Raises portal_unavailable, also when it stops half-way."""
        with self._ask("GET", path, None, None, {}, stream=True) as answer:
            try:
                for block in answer.iter_content(BLOCK):
                    into.write(block)
            except requests.RequestException as error:
                raise _silent(error) from error

    def _ask(
        self, method: str, path: str, body: Any, request_key: str | None, query: dict[str, Any], *, stream: bool = False
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        if method == "POST":
            headers["Idempotency-Key"] = request_key or secrets.token_urlsafe(16)
        given = {name: value for name, value in query.items() if value is not None}
        try:
            answer = requests.request(
                method, f"{self.url}/api/v1{path}", json=body, headers=headers, params=given, timeout=TIMEOUT,
                allow_redirects=False, stream=stream,
            )  # fmt: skip
        except requests.RequestException as error:
            raise _silent(error) from error
        if not 200 <= answer.status_code < 300:
            raise refusal(answer)
        return answer


def _silent(error: requests.RequestException) -> Unavailable:
    return Unavailable("portal_unavailable", "Le portail ne répond pas.", "Vérifiez son adresse.", detail=str(error))


def refusal(answer: requests.Response) -> ClocherError:
    """The error that a problem document (RFC 9457) tells."""
    try:
        problem = answer.json()
    except requests.JSONDecodeError:
        problem = {}
    kind = KINDS.get(answer.status_code, Unavailable if answer.status_code >= 500 else InvalidInput)
    return kind(
        problem.get("code", "unexpected_answer"),
        problem.get("detail", Text("Réponse inattendue du portail ({status}).", status=answer.status_code)),
        problem.get("action", ""),
        facts={name: value for name, value in problem.items() if name not in TOLD},
    )


def connect(url: str) -> Client:
    """A client of the installation at `url`, with the token of CLOCHER_TOKEN or of the token's file.

    Raises https_needed for a plain address that is not of this machine, token_missing, or token_readable when others
    may read the file.
    """
    if not url.startswith("https://") and not _is_here(url):
        raise InvalidInput(
            "https_needed", "Le jeton ne part pas en clair sur le réseau.", "Donnez une adresse en https://."
        )
    return Client(url.rstrip("/"), _token(Remote()))


def _is_here(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return url.startswith("http://") and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _token(given: Remote) -> str:
    if given.token is not None:
        return given.token.get_secret_value()
    path = given.token_file.expanduser()
    if not path.is_file():
        raise InvalidInput(
            "token_missing",
            "Aucun jeton.",
            Text("Donnez-le dans CLOCHER_TOKEN, ou dans {path} (mode 0600).", path=str(path)),
        )
    if path.stat().st_mode & 0o077:
        raise InvalidInput(
            "token_readable",
            Text("D’autres peuvent lire le jeton dans {path}.", path=str(path)),
            Text("Faites : chmod 600 {path}", path=str(path)),
        )
    return path.read_text().strip()
