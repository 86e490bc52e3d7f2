"""A client of the JSON API, for the command line and the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from orchestrator.errors import ClocherError, Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable

TIMEOUT = 30.0  # seconds
KINDS: dict[int, type[ClocherError]] = {401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict}


@dataclass(frozen=True)
class Client:
    """Where the API is, and the token to show."""

    url: str
    token: str

    def call(self, method: str, path: str, body: Any = None, *, request_key: str | None = None) -> Any:
        """One call; the answer's JSON. A refusal comes back as the error that the server raised, with its code."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if request_key:
            headers["Idempotency-Key"] = request_key
        try:
            answer = requests.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise Unavailable(
                "portal_unavailable", "Le portail ne répond pas.", "Vérifiez son adresse.", detail=str(error)
            ) from error
        if answer.ok:
            return answer.json() if answer.content else None
        raise refusal(answer)


def refusal(answer: requests.Response) -> ClocherError:
    """The error that a problem document (RFC 9457) tells."""
    try:
        problem = answer.json()
    except requests.JSONDecodeError:
        problem = {}
    kind = KINDS.get(answer.status_code, Unavailable if answer.status_code >= 500 else InvalidInput)
    return kind(
        problem.get("code", "unexpected_answer"),
        problem.get("detail", f"Réponse inattendue du portail ({answer.status_code})."),
        problem.get("action", ""),
    )
