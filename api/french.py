"""How the portal writes: French amounts and dates, and the French of our states, steps and kinds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Flask

from api.output import PARIS, cell, euros

SERVICE_STATES = {
    "creating": "en création",
    "active": "en service",
    "stopping": "en cours d’arrêt",
    "stopped": "arrêté",
    "starting": "en démarrage",
    "deleting": "en suppression",
    "deleted": "supprimé",
    "failed": "échec",
}
FLOW_STATES = {
    "queued": "en file d’attente",
    "running": "en cours",
    "undoing": "retour en arrière",
    "done": "terminé",
    "failed": "échoué",
    "cancelled": "annulé",
}
FLOW_KINDS = {
    "create_server": "Création",
    "delete_server": "Suppression",
    "stop_server": "Arrêt",
    "start_server": "Démarrage",
}
STEPS = {
    "project": "Préparer l’espace du membre",
    "port": "Brancher le réseau",
    "volume": "Volume de données",
    "server": "Machine",
    "address": "Adresse publique",
    "build": "Attendre le démarrage",
    "attach": "Attacher le volume",
    "configure": "Configurer le système",
    "health": "Vérifier la santé",
    "activate": "Mettre en service",
    "release": "Libérer ce qui était réservé",
    "rest": "Mettre au repos",
    "stop": "Arrêter",
    "start": "Démarrer",
}
STEP_STATES = {"running": "en cours", "done": "fait", "failed": "échoué", "undone": "défait"}
ORDER_STATES = {
    "waiting": "en attente de la DSI",
    "approved": "acceptée",
    "rejected": "refusée",
    "cancelled": "annulée",
}
OUTCOMES = {
    "started": "en cours",
    "ok": "inchangé",
    "changed": "fait",
    "skipped": "sans objet",
    "failed": "échoué",
    "unreachable": "injoignable",
    "ignored": "passé outre",
}
PERIOD_STATES = {"open": "en cours", "draft": "projet", "checked": "vérifié", "closed": "clos"}
WORDS = {
    "period": PERIOD_STATES,
    "outcome": OUTCOMES,
    "service": SERVICE_STATES,
    "flow": FLOW_STATES,
    "kind": FLOW_KINDS,
    "step": STEPS,
    "step_state": STEP_STATES,
    "order": ORDER_STATES,
}


def install(app: Flask) -> None:
    """Give the templates these words."""
    app.jinja_env.filters.update(french=french, instant=instant, clock=clock, cell=cell, euros=euros, lasted=lasted)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def french(code: str, table: str) -> str:
    """The French of a state or kind; a code that is not in the table is shown as it is."""
    return WORDS[table].get(code, code)


def instant(at: datetime | None) -> str:
    """23/11/2026 14:05:09"""
    return str(cell(at))


def clock(at: datetime) -> str:
    """14:05:09"""
    return at.astimezone(PARIS).strftime("%H:%M:%S")


def lasted(row: Any) -> str:
    """How long a step or flow took, or takes: 1 min 05 s; nothing for what has not begun."""
    if row.started_at is None:
        return ""
    seconds = int(((row.ended_at or datetime.now(UTC)) - row.started_at).total_seconds())
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02} s"
