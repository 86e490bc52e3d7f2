"""Backups of a service: made now, restored for trial, and brought back after saying what that loses."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.pages.doing import do
from orchestrator import backups as kept
from orchestrator.tables import Service
from tenants import backups, reading

blueprint = APIBlueprint(
    "backup_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>/backups"
)


@blueprint.post("")
def make(service_id: int) -> Response | tuple[str, int]:
    """Back the service up now; a refusal is said on its page."""
    done = gettext("La sauvegarde est en cours.")
    return do(service_id, lambda session: backups.back_up(session, service_id, auth.now()), done)


@blueprint.post("/switch")
def switch(service_id: int) -> Response | tuple[str, int]:
    """Back a machine up every night (`on`), or only when people ask for it."""
    on = request.form.get("on") == "1"
    done = (
        gettext("Cette machine sera sauvegardée chaque nuit.")
        if on
        else gettext("Cette machine n’est plus sauvegardée que sur demande.")
    )
    return do(service_id, lambda session: backups.switch(session, service_id, on), done)


@blueprint.post("/<int:backup_id>/prove")
def prove(service_id: int, backup_id: int) -> Response | tuple[str, int]:
    """Have the backup restored for trial; a refusal is said on the service's page."""
    done = gettext("La restauration d’essai commence ; le service n’est pas touché.")
    return do(service_id, lambda session: backups.prove(session, service_id, backup_id), done)


@blueprint.get("/<int:backup_id>/restore")
def ask_restore(service_id: int, backup_id: int) -> str:
    """What a restoration loses, and the button that does it."""
    return _asked(service_id, backup_id, Form())


def _asked(service_id: int, backup_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        found = kept.find(session, min(backup_id, reading.BEYOND), service.id)
        kept.check_ready(found)
        machine = backups.is_machine(service)
        return render_template(
            "services/restore_backup.html", service=service, backup=found, form=form, machine=machine
        )


@blueprint.post("/<int:backup_id>/restore")
def restore(service_id: int, backup_id: int) -> Response | tuple[str, int]:
    """Bring the data back."""
    return do(
        service_id,
        lambda session: backups.restore(session, service_id, backup_id),
        gettext("La restauration commence."),
        lambda form: _asked(service_id, backup_id, form),
    )
