"""The portal and the API: one Flask app, made by `create`."""

from __future__ import annotations

from pathlib import Path

from apiflask import APIFlask
from flask import Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from api import access, auth, health, language, limits, look, metrics, navigation, openapi, pages, problems, v1
from api.pages import admin, announcing, reference
from api.strict_json import StrictJSON
from api.templating import Templates
from orchestrator.settings import Settings

BODY = 64 * 1024  # bytes; the longest honest request is an order with twenty keys
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create(settings: Settings, *, counts: Path | None = None) -> APIFlask:
    """The WSGI application of an installation; counts: see `metrics.install`."""
    app = APIFlask(
        "api",
        title="Clocher",
        version="1",
        spec_path="/api/v1/openapi.json",
        docs_path=None,
        json_errors=False,
    )
    app.jinja_environment = Templates
    app.config.update(
        MAX_CONTENT_LENGTH=BODY, MAX_FORM_MEMORY_SIZE=BODY, AUTO_SERVERS=False, TIMEZONE=settings.timezone
    )
    app.json = StrictJSON(app)
    openapi.install(app)
    metrics.install(app, settings, counts)  # first, so that refusals are counted too
    limits.install(app, settings)
    auth.install(app, settings)
    problems.install(app)
    language.install(app, settings)
    look.install(app, settings)
    navigation.install(app)
    announcing.install(app)
    admin.install(app)
    for blueprint in (*v1.BLUEPRINTS, *pages.BLUEPRINTS, reference.blueprint, health.blueprint):
        app.register_blueprint(blueprint)
    access.check(app)
    if settings.trusted_proxies:
        proxies = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0)  # type: ignore[method-assign]
    v1.install(app)
    app.after_request(_harden)
    return app


def _harden(answer: Response) -> Response:
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint not in ("static", "look.theme", "look.logo"):
        answer.headers["Cache-Control"] = "no-store"
    return answer
