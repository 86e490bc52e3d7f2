"""What the DSI does about an operation that is held, on the command line: here, and by another installation's API."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables import Flow
from tests.api import administered
from tests.api.conftest import Caller, Run, told
from tests.api.people import invite
from tests.tenants.applications import greeting, keep_secrets
from tests.tenants.ordering import member, seed


@pytest.fixture(params=["here", "far"])
def dsi_run(request: pytest.FixtureRequest, run: Run, owner: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `clocher` as the DSI does: on the installation's machine, or by its API."""
    if request.param == "here":
        seed(owner)
        return run
    caller: Caller = request.getfixturevalue("dsi")
    assert caller.secret
    monkeypatch.setenv("CLOCHER_TOKEN", caller.secret)
    portal = request.getfixturevalue("portal")
    return lambda *words, **more: run("--url", portal, *words, **more)


@pytest.fixture
def held(dsi_run: Run, owner: sa.Engine) -> str:
    with territory_session(owner, "tests") as session:
        found = session.scalar(sa.text("SELECT id FROM members WHERE slug = 'brevaux'"))
    if found is None:
        found = member(owner, "brevaux")
    with territory_session(owner, "tests") as session:
        return str(administered.held(session, found))


@pytest.mark.slow
def test_it_is_handed_over_then_goes_on(dsi_run: Run, held: str, owner: sa.Engine) -> None:
    assert "prise en main par la DSI" in " ".join(dsi_run("flows", "list").stdout.split())
    assert told(dsi_run("flows", "hand-over", held, "Marc", "--note", "Port bloqué", "--json"))["keeper"] == "Marc"
    assert f"watch {held}" in dsi_run("flows", "retry", held).stdout
    again = dsi_run("flows", "retry", held, "--json")
    assert (again.exit_code, "flow_not_held" in again.stderr) == (3, True)
    with territory_session(owner, "tests") as session:
        assert session.get_one(Flow, int(held)).keeper_note == "Port bloqué"


@pytest.mark.slow
def test_it_is_undone_after_a_yes(dsi_run: Run, held: str, owner: sa.Engine) -> None:
    refused = dsi_run("flows", "undo", held, input="non\n")
    assert (refused.exit_code, "défait tout ce qu’elle a créé" in refused.stderr) == (1, True)
    assert told(dsi_run("flows", "undo", held, "--yes", "--json"))["state"] == "queued"
    with territory_session(owner, "tests") as session:
        assert session.get_one(Flow, int(held)).undo_requested


@pytest.mark.slow
def test_a_member_reads_a_secret_once_from_afar(
    run: Run, portal: str, owner: sa.Engine, worker: sa.Engine, settings: Settings, app: APIFlask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    service = greeting(owner)
    keep_secrets(worker, settings, service)
    monkeypatch.setenv("CLOCHER_TOKEN", invite(app, "Camille", "brevaux", ["requester"]).token())
    far = ("--url", portal, "services")
    assert "Mot de passe" in run(*far, "secrets", str(service.id)).stdout
    asked = run(*far, "show-secret", str(service.id), "admin_password", input="non\n")
    assert (asked.exit_code, asked.stdout) == (1, "")
    first = run(*far, "show-secret", str(service.id), "admin_password", "--yes").stdout.strip()
    assert len(first) > 12
    again = run(*far, "show-secret", str(service.id), "admin_password", "--yes", "--json")
    assert "secret_shown" in again.stderr and first not in again.output
    assert (
        told(run(*far, "renew-secret", str(service.id), "admin_password", "--yes", "--json"))["kind"] == "renew_secret"
    )
