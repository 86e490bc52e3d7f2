"""An application from elsewhere whose archive nobody has named: its page says why, and who does what."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator.database import territory_session
from orchestrator.settings import ROOT
from tenants import catalogue
from tests.api.people import invite
from tests.tenants.applications import greeting


@pytest.mark.slow
def test_what_awaits_its_source_says_so(app: APIFlask, owner: sa.Engine) -> None:
    greeting(owner)
    with territory_session(owner, "tests") as session:
        catalogue.load(session, places=[ROOT / "playbooks" / "stacks"])
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    cards = agent.get("/catalogue").text
    assert "Espace de documents, moyen" in cards and cards.count("pas encore disponible") == 2
    page = agent.get("/catalogue/nextcloud-medium").text
    assert "CLOCHER_STACKS_SOURCES" in page and "clocher stack test" in page
    assert 'name="step"' not in page
    assert "not available yet" in agent.get("/catalogue?lang=en").text
    assert 'name="step"' in agent.get("/catalogue/website-small").text
