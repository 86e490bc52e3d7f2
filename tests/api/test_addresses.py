"""The address of an application: on its page, by the API, and what computers need to trust it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from sqlalchemy.orm import Session

from orchestrator import availability, entry
from orchestrator.database import territory_session
from orchestrator.readiness import Seen
from orchestrator.settings import Settings
from orchestrator.tables import Service
from tenants import addresses, catalogue, stacks
from tests.api.conftest import Run, told
from tests.api.people import invite
from tests.api.screens_portal import entrance
from tests.tenants.applications import greeting
from tests.tenants.ordering import NOW

pytestmark = pytest.mark.slow

AUTHORITY = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def service_id(owner: sa.Engine) -> int:
    """A running application of brevaux."""
    return greeting(owner).id


@pytest.fixture
def known(owner: sa.Engine, worker: sa.Engine, settings: Settings, service_id: int) -> int:
    """The same behind an entry; it answered 1,999 times of 2,000 in one day of the month."""
    with territory_session(owner, "tests") as session:
        stack = {"slug": "entry", "version": "1", "provides": "entry"}
        whole = {"play": "stacks/entry", "offer": "entry-small", "answers": {}, "stack": stack}
        made = Service(member_id=member_of(session, service_id), name="portail", specification=whole, state="active")
        session.add(made)
        session.flush()
        entry.keep(session, made.id, "valmont.test", AUTHORITY, [])
    with territory_session(worker, "tests") as session:
        one = availability.Asked(service_id, member_of(session, service_id), "", "/")
        for number in range(3):
            at = NOW - timedelta(hours=number)
            availability.count(session, settings, one, Seen("HTTP 503" if number else None, "", NOW), at)
    with territory_session(owner, "tests") as session:
        session.execute(sa.text("UPDATE availability SET asked = 2000, answered = 1999"))
    return service_id


def member_of(session: Session, service_id: int) -> int:
    return session.get_one(Service, service_id).member_id


def test_the_page_begins_with_the_address(app: APIFlask, known: int) -> None:
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    page = agent.get(f"/services/{known}").text
    assert "https://salut.brevaux.valmont.test/" in page
    assert "Certificat" in page and "Disponibilité" in page
    english = agent.get(f"/services/{known}?lang=en").text
    assert "Availability" in english and "Download" in english
    given = agent.get("/entry/authority.crt")
    assert (given.text, given.mimetype) == (AUTHORITY, "application/x-x509-ca-cert")


def test_the_api_tells_it(app: APIFlask, known: int) -> None:
    token = invite(app, "Camille", "brevaux", ["requester"]).token()
    told = app.test_client().get(f"/api/v1/services/{known}/address", headers={"Authorization": f"Bearer {token}"})
    address = told.json["address"]
    assert (address["url"], address["authority"]) == ("https://salut.brevaux.valmont.test/", AUTHORITY)
    assert address["months"] == [{"month": "2026-11", "asked": 2000, "answered": 1999, "percent": "99.95"}]


def test_the_dsi_reads_each_certificate_and_members_none(
    app: APIFlask, owner: sa.Engine, service_id: int, run: Run
) -> None:
    with territory_session(owner, "tests") as session:
        page = entrance(session, member_of(session, service_id))
    person = invite(app, "Camille", "brevaux", ["requester"])
    assert "NXDOMAIN" not in person.client().get(page).text
    asked, api = app.test_client(), "/api/v1/entry/certificates"
    assert asked.get(api, headers={"Authorization": f"Bearer {person.token()}"}).status_code == 403
    director = invite(app, "Dominique", None, ["dsi_admin"])
    shown = director.client().get(page).text
    assert "bientôt expiré" in shown and "NXDOMAIN" in shown
    assert "expires soon" in director.client().get(f"{page}?lang=en").text
    rows = asked.get(api, headers={"Authorization": f"Bearer {director.token()}"}).json["items"]
    assert [(row["trouble"], row["code"]) for row in rows] == [("missing", "refused"), ("", None), ("late", "silent")]
    given = told(run("entry", "status", "--json"))
    assert [one["trouble"] for one in given] == ["missing", "", "late"]
    assert "bientôt expiré" in run("entry", "status").stdout


def test_without_an_entry_there_is_none(app: APIFlask, service_id: int) -> None:
    person = invite(app, "Camille", "brevaux", ["requester"])
    said = {"Authorization": f"Bearer {person.token()}"}
    told = app.test_client().get(f"/api/v1/services/{service_id}/address", headers=said)
    assert told.json == {"address": None}
    agent = person.client()
    assert agent.get("/entry/authority.crt").status_code == 404
    assert 'id="url"' not in agent.get(f"/services/{service_id}").text
    assert "l’ancienne" not in agent.get(f"/services/{service_id}/acts/rename").text


def test_a_hundred_percent_means_always() -> None:
    assert str(addresses.Month("2026-11", 100_000, 99_999).share) == "99.99"
    assert str(addresses.Month("2026-11", 7, 7).share) == "100.00"


def test_a_rename_says_what_becomes_of_the_address(app: APIFlask, known: int) -> None:
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    assert "l’ancienne ne répondra plus" in agent.get(f"/services/{known}/acts/rename").text


def test_members_do_not_order_what_is_the_territorys(
    app: APIFlask, owner: sa.Engine, settings: Settings, service_id: int
) -> None:
    with territory_session(owner, "tests") as session:
        catalogue.load(session, places=stacks.folders(settings))
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    assert "entry-small" not in agent.get("/catalogue").text
    assert agent.get("/catalogue/entry-small").status_code == 422
    director = invite(app, "Dominique", None, ["dsi_admin"]).client()
    assert director.get("/catalogue/entry-small").status_code == 200
