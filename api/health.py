"""Is the process there, can it work, what does it count."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api import auth
from orchestrator import schema
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, Unavailable

blueprint = APIBlueprint("health", __name__, enable_openapi=False)


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """The database answers and has the schema that this release needs."""
    try:
        with territory_session(auth.engines().staff, "readyz") as session:
            current = schema.is_current(session)
        if current:
            return {"status": "ok"}, 200
        error: ClocherError = Unavailable("not_migrated", "La base n’est pas à jour.", "clocher database upgrade")
    except ClocherError as unavailable:
        error = unavailable
    return {"status": "unavailable", "code": error.code, "sentence": error.sentence, "action": error.action}, 503


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus' text form."""
    return Response(generate_latest(current_app.extensions["metrics"]), content_type=CONTENT_TYPE_LATEST)
