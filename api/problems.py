"""How a refusal looks: problem+json (RFC 9457) for programs, a page for people. Never a stack trace."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import structlog
from apiflask import APIFlask, HTTPError
from flask import Response, jsonify, make_response, render_template, request
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from api.language import tell as told
from orchestrator.errors import N_, ClocherError, InvalidInput, NotFound, Text, Unavailable
from tenants import reading

log = structlog.get_logger(__name__)

# What Flask itself refuses, in our words: HTTP status → code, sentence, action.
REFUSALS = {
    400: ("invalid_request", N_("La requête n’a pas la forme attendue."), N_("Envoyez du JSON valide.")),
    404: ("not_found", N_("Cela n’existe pas, ou n’est pas à vous."), N_("Revenez à la liste.")),
    405: ("method_not_allowed", N_("Cette adresse n’accepte pas cette méthode."), N_("Voyez /api/v1/openapi.json.")),
    413: ("too_large", N_("La requête est trop grosse."), N_("Envoyez moins de 64 Kio.")),
    415: (
        "invalid_request",
        N_("Le corps de la requête doit être du JSON."),
        N_("Envoyez Content-Type: application/json."),
    ),
}
# The same for people, who sent a form or followed a link.
PAGES = {
    400: (N_("Ce qui a été envoyé n’a pas la forme attendue."), N_("Revenez à la page d’avant, puis recommencez.")),
    404: (N_("Cette page n’existe pas, ou n’est pas à vous."), N_("Vérifiez l’adresse, ou repartez de l’accueil.")),
    405: (N_("Cette adresse ne s’ouvre pas ainsi."), N_("Revenez à la page d’avant, puis recommencez.")),
    413: (N_("Ce qui a été envoyé est trop gros."), N_("Envoyez moins de 64 Kio.")),
}


def install(app: APIFlask) -> None:
    """Tell every refusal of `app` in one form."""
    app.register_error_handler(ClocherError, tell)
    app.register_error_handler(HTTPException, _tell_http)
    app.register_error_handler(PoolTimeout, _tell_busy)
    app.register_error_handler(Exception, _tell_unexpected)
    app.before_request(_refuse_impossible)
    app.error_callback = _tell_schema  # not error_processor(): that would also take what _tell_http tells


def _refuse_impossible() -> None:
    """Refuse what the database can hold nowhere: the character NUL, and a row's number that no row can have."""
    named = tuple((request.view_args or {}).values())
    if any(isinstance(value, int) and value > reading.BEYOND for value in named):
        raise NotFound(*REFUSALS[404])
    # The API reads no form, and looks itself whether there is a body.
    typed = () if request.path.startswith("/api/") else request.form.values()
    texts = (*named, *request.args.values(), *typed)
    if any(isinstance(text, str) and "\0" in text for text in texts):
        raise InvalidInput(*REFUSALS[400][:2], "Retirez le caractère nul.")


def tell(error: ClocherError) -> Response:
    """The answer to a request that raised `error`."""
    return _answer(error, error.status)


def _answer(error: ClocherError, status: int) -> Response:
    if error.detail or status >= 500:
        log.warning("request refused", code=error.code, status=status, detail=error.detail, path=request.path)
    if _for_programs():
        answer = jsonify(
            {
                **_facts(error.facts),
                "type": f"urn:clocher:error:{error.code}",
                "title": told(error.sentence),
                "status": status,
                "detail": told(error.sentence),
                "code": error.code,
                "action": told(error.action),
                "retryable": error.retryable,
            }
        )
        answer.content_type = "application/problem+json"
    else:
        answer = make_response(render_template("error.html", error=error, status=status, broken=status >= 500))
    answer.status_code = status
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        answer.headers["Retry-After"] = "5"
    elif status == 429:
        answer.headers["Retry-After"] = str(error.facts.get("retry_after", 60))
    return answer


def _for_programs() -> bool:
    return request.path.startswith("/api/") and not request.path.startswith("/api/docs")


def _facts(value: Any) -> Any:
    """What a program needs to act, with the sentences in it in the reader's language."""
    if isinstance(value, Text):
        return told(value)
    if isinstance(value, dict):
        return {name: told(v) if name in ("sentence", "action") else _facts(v) for name, v in value.items()}
    return [_facts(one) for one in value] if isinstance(value, list | tuple) else value


def _tell_http(error: HTTPException) -> Response:
    status = error.code or 500
    code, sentence, action = REFUSALS.get(status, (f"http_{status}", N_("La demande est refusée."), N_("Vérifiez-la.")))
    if not _for_programs():
        sentence, action = PAGES.get(status, (sentence, action))
    kind = NotFound if status == 404 else InvalidInput
    answer = _answer(kind(code, sentence, action), status)
    if status == 405:
        answer.headers["Allow"] = dict(error.get_headers()).get("Allow", "")
    return answer


def _tell_schema(error: HTTPError) -> Response:
    # What the schema refused: {"json": {"offer": ["Field required"]}}
    places = error.detail.values() if isinstance(error.detail, dict) else []
    fields = [
        {"parameter": name, "code": "invalid_request", "sentence": " ".join(reasons)}
        for faults in places
        for name, reasons in faults.items()
    ]
    named = ", ".join(field["parameter"] for field in fields)
    refusal = InvalidInput(
        "invalid_request",
        Text("À corriger : {fields}.", fields=named),
        "Voyez /api/v1/openapi.json.",
        facts={"errors": fields},
    )
    return _answer(refusal, error.status_code)


def _tell_busy(error: PoolTimeout) -> Response:
    busy = Unavailable("busy", "Trop de demandes à la fois.", "Réessayez dans un instant.", detail=str(error))
    return _answer(busy, 503)


def _tell_unexpected(error: Exception) -> Response:
    if isinstance(error, RecursionError):
        return _answer(InvalidInput(*REFUSALS[400]), 400)  # JSON nested deeper than anybody needs
    incident = token_hex(4)
    log.error("request failed", incident=incident, path=request.path, exc_info=error)
    fault = ClocherError(
        "internal_error",
        "Une erreur inattendue s’est produite ; elle est dans le journal.",
        "Prévenez la DSI.",
        facts={"incident": incident},
    )
    return _answer(fault, 500)
