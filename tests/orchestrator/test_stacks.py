"""A stack's life on the real dev cloud: made, configured, well; a secret renewed, or left as it was."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import repair, service_secrets
from orchestrator.database import territory_session
from orchestrator.settings import ROOT
from orchestrator.tables import AnsibleEvent, Service, ServiceSecret
from tests.orchestrator.flowing import Stage

pytestmark = [pytest.mark.cloud, pytest.mark.slow]

STACK: dict[str, Any] = {
    "slug": "hello", "version": "1", "ports": [80], "web": {"port": 80, "path": "/"},
    "health": [{"port": 80, "path": "/", "status": 200, "contains": "Bonjour Essai"}],
    "secrets": [{"name": "admin_password", "length": 24, "shown": True, "label": {"fr": "Clé", "en": "Key"}}],
}  # fmt: skip
HELLO = {
    "play": "stacks/hello", "stack": STACK, "disk_gib": 1,
    "answers": {"greeting": "<b>{{ 6 * 7 }}</b>", "contact": "", "until": ""},
}  # fmt: skip


@pytest.fixture
def ours(stage: Stage, tmp_path: Path) -> Stage:
    """Workers know an application whose folder is nowhere near the product."""
    shutil.copytree(ROOT / "playbooks" / "examples" / "hello", tmp_path / "hello")
    stage.settings = stage.settings.model_copy(update={"stacks_dirs": (tmp_path,)})
    return stage


def password(stage: Stage, service_id: int) -> str:
    with territory_session(stage.owner, "tests") as session:
        return service_secrets.opened(session, stage.settings, service_id)["admin_password"].get_secret_value()


def told(stage: Stage) -> str:
    return " ".join(str(vars(event)) for event in stage.rows(AnsibleEvent))


def test_an_application_is_made_and_keeps_its_secrets(ours: Stage) -> None:
    ours.start()
    service_id, flow = ours.order("salut", **HELLO)
    (created,) = ours.rest(flow, seconds=600)
    assert (created.state, created.error_detail) == ("done", None)
    assert {"secrets", "configure", "health", "answer"} <= set(ours.steps(flow))
    with urllib.request.urlopen(f"http://{ours.service(service_id).address}/", timeout=10) as answer:
        page = answer.read().decode()
    assert "Bonjour Essai" in page
    assert "&lt;b&gt;{{ 6 * 7 }}" in page
    first = password(ours, service_id)
    assert len(first) == 24 and first not in told(ours)

    (renewed,) = ours.rest(ours.ask(service_id, "renew_secret", secret="admin_password"), seconds=600)
    assert (renewed.state, renewed.error_detail) == ("done", None)
    second = password(ours, service_id)
    assert second != first and second not in told(ours)

    # The worker has lost the play: the new secret can't be brought in, and the DSI takes it back.
    with territory_session(ours.owner, "tests") as session:
        specify(session, service_id, play="stacks/gone")
    flow = ours.ask(service_id, "renew_secret", secret="admin_password")
    assert ours.held(flow).error_code == "play_missing"
    with territory_session(ours.owner, "tests") as session:
        specify(session, service_id, play="stacks/hello")
        repair.undo(session, flow)
    (failed,) = ours.rest(flow, seconds=600)
    assert (failed.state, failed.error_code, ours.service(service_id).state) == ("failed", "play_missing", "active")
    assert password(ours, service_id) == second

    assert ours.do(service_id, "delete_server").state == "done"
    assert not _secrets(ours)


def specify(session: Session, service_id: int, **changes: Any) -> None:
    service = session.get_one(Service, service_id)
    service.specification = {**service.specification, **changes}


def _secrets(stage: Stage) -> int:
    with territory_session(stage.owner, "tests") as session:
        return session.scalar(sa.select(sa.func.count()).select_from(ServiceSecret)) or 0
