"""The commune's pages: each opens, each act does what it says, refusals are shown, and queries don't grow with rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy.dialects.postgresql import Range
from werkzeug.test import TestResponse

from orchestrator.database import territory_session
from orchestrator.tables import Flow, Member, Resource, Service, Snapshot
from tenants import catalogue
from tenants.tables import Meter, Order, Price
from tenants.tables_notices import Endpoint
from tenants.tables_schedules import SnapshotSchedule
from tests.api.people import Person, csrf, invite
from tests.tenants.approving import adopt
from tests.tenants.ordering import KEY, member, seed
from tests.tenants.test_changes import create
from tests.tenants.test_stacks import STACKS

pytestmark = pytest.mark.slow

FORM = {"name": "web", "image": "debian-12", "disk_gib": "20", "ssh_keys": KEY}


@pytest.fixture
def house(owner: sa.Engine) -> int:
    """A member's id."""
    seed(owner)
    return member(owner)


@pytest.fixture
def agent(app: APIFlask, house: int) -> FlaskClient:
    return person(app, "Camille", ["requester"]).client()


def person(app: APIFlask, name: str, roles: list[str]) -> Person:
    return invite(app, name, "brevaux", roles)


def send(client: FlaskClient, path: str, **data: str) -> TestResponse:
    return client.post(path, data={"csrf": csrf(client), **data})


def main(answer: TestResponse) -> str:
    return answer.text.split("<main", 1)[1]


def kept(page: str) -> dict[str, str]:
    """What the summary carries along to the order."""
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    long = dict(re.findall(r'<textarea name="([^"]+)" hidden>\s*([^<]*)', page))
    return {name: value for name, value in (hidden | long).items() if name != "csrf"}


def order(client: FlaskClient, offer: str = "vm-small", **more: str) -> TestResponse:
    """From the form to the order, as people do."""
    summary = send(client, f"/catalogue/{offer}", **{**FORM, **more})
    assert summary.status_code == 200, main(summary)
    return send(client, f"/catalogue/{offer}", **kept(summary.text), step="order")


def row(owner: sa.Engine, kind: type, row_id: int) -> object:
    with territory_session(owner, "tests") as session:
        found = session.get_one(kind, row_id)
        session.expunge(found)
        return found


def test_each_wrong_field_is_said_beside_it_and_above(agent: FlaskClient) -> None:
    answer = send(agent, "/catalogue/vm-small", name="Pas Bon", disk_gib="x", ssh_keys="rien", step="check")
    assert answer.status_code == 422
    for field in ("name", "disk_gib", "ssh_keys"):
        assert f'id="error-{field}"' in answer.text
        assert f'href="#field-{field}"' in answer.text
    assert 'value="Pas Bon"' in answer.text


def test_the_price_follows_what_is_typed(agent: FlaskClient) -> None:
    assert "10,95\xa0€" in agent.get("/catalogue/vm-small").text
    part = agent.get("/catalogue/vm-small/price?disk_gib=100&name=").text
    assert "18,25\xa0€" in part
    assert part.lstrip().startswith('<h2 class="panel-title">Prix')  # what listens stays on the page
    again = send(agent, "/catalogue/vm-small", disk_gib="100", public_address="1", step="price")
    assert again.status_code == 200
    assert "21,17\xa0€" in again.text
    assert "checked" in again.text


def test_an_order_is_summed_up_then_placed_once(agent: FlaskClient, owner: sa.Engine) -> None:
    summary = send(agent, "/catalogue/vm-small", **FORM)
    assert "12,41\xa0€" in summary.text
    with territory_session(owner, "tests") as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Order)) == 0
    data = kept(summary.text)
    first = send(agent, "/catalogue/vm-small", **data, step="order")
    second = send(agent, "/catalogue/vm-small", **data, step="order")
    assert first.status_code == second.status_code == 302
    assert first.location == second.location
    page = agent.get(first.location).text
    assert "elle commence maintenant" in page
    assert "en file d’attente" in page
    changed = send(agent, "/catalogue/vm-small", **data | {"name": "autre", "key": "k2", "monthly": "1"}, step="order")
    assert changed.status_code == 409
    assert "Le prix vient de changer" in changed.text


def test_what_does_not_fit_is_said_before_the_summary(agent: FlaskClient, owner: sa.Engine, house: int) -> None:
    with territory_session(owner, "tests") as session:
        session.execute(sa.text("UPDATE quotas SET servers = 0"))
    assert "Le quota de machines est dépassé" in agent.get("/catalogue/vm-small").text
    assert send(agent, "/catalogue/vm-small", **FORM).status_code == 409


def test_the_dsi_chooses_for_whom(app: APIFlask, house: int, owner: sa.Engine) -> None:
    client = invite(app, "Hélène", None, ["dsi_admin"]).client()
    assert "Choisissez d’abord" in client.get("/catalogue/vm-small").text
    assert 'id="error-member"' in send(client, "/catalogue/vm-small", **FORM).text
    assert order(client, member="brevaux").status_code == 302
    with territory_session(owner, "tests") as session:
        assert session.scalars(sa.select(Order.member_id)).one() == house


def test_a_chain_of_approvals(app: APIFlask, agent: FlaskClient, owner: sa.Engine) -> None:
    adopt(owner, "approver", "finance")
    chief, money = person(app, "Nadia", ["approver"]).client(), person(app, "Paul", ["finance"]).client()
    path = order(agent).location.split("?")[0]
    assert "Elle attend l’accord de Nadia" in agent.get(path).text
    assert "Votre décision" not in agent.get(path).text
    assert path in chief.get("/approvals").text
    assert path in chief.get("/").text
    assert path not in money.get("/approvals").text
    assert send(chief, f"{path}/approve").status_code == 302
    assert "Reprendre mon accord" in chief.get(path).text
    assert send(chief, f"{path}/take-back").status_code == 302
    assert send(chief, f"{path}/approve").status_code == 302
    refused = send(money, f"{path}/approve", engagement_number=" ")
    assert refused.status_code == 422
    assert 'id="error-engagement_number"' in refused.text
    assert send(money, f"{path}/approve", engagement_number="E-12", budget_line="6135").status_code == 302
    page = agent.get(path).text
    assert "engagement E-12, ligne 6135" in page
    assert "acceptée" in page
    assert send(money, f"{path}/approve").status_code == 409


def test_orders_are_refused_with_a_reason_or_cancelled(app: APIFlask, agent: FlaskClient, owner: sa.Engine) -> None:
    adopt(owner, "approver")
    chief = person(app, "Nadia", ["approver"]).client()
    path = order(agent).location.split("?")[0]
    assert 'id="error-reason"' in send(chief, f"{path}/reject", reason=" ").text
    assert send(chief, f"{path}/reject", reason="Pas cette année.").status_code == 302
    assert "Pas cette année." in agent.get(path).text
    other = order(agent, name="autre").location.split("?")[0]
    assert send(agent, f"{other}/cancel").status_code == 302
    assert "annulée" in agent.get(other).text
    assert "autre" in main(agent.get("/orders?text=aut"))
    assert "web" not in main(agent.get("/orders?state=cancelled")).replace("/catalogue", "").split("<tbody")[1]


@pytest.fixture
def service(owner: sa.Engine, web: sa.Engine, house: int) -> int:
    """A service of the member that runs."""
    return create(owner, web, house, "web", disk_gib=20)


def test_services_are_listed(agent: FlaskClient, service: int, owner: sa.Engine) -> None:
    assert f'href="/services/{service}"' in agent.get("/services").text
    assert "Aucun service ne répond" in agent.get("/services?text=zzz").text
    assert f'href="/services/{service}"' not in agent.get("/services?state=stopped").text


def test_acts_are_asked_for_then_done(agent: FlaskClient, service: int, owner: sa.Engine) -> None:
    page = agent.get(f"/services/{service}").text
    assert "Arrêter" in page
    asked = agent.get(f"/services/{service}/acts/stop").text
    assert "ses disques et ses adresses sont gardés" in asked
    assert send(agent, f"/services/{service}/acts/stop").status_code == 302
    with territory_session(owner, "tests") as session:
        kinds = session.scalars(sa.select(Flow.kind).where(Flow.service_id == service).order_by(Flow.id)).all()
    assert kinds[-1] == "stop_server"
    live = agent.get(f"/services/{service}?part=live")
    assert "every 1s" in live.text
    assert "HX-Refresh" not in live.headers
    refused = send(agent, f"/services/{service}/acts/reboot")
    assert refused.status_code == 409
    assert "Une opération est déjà en cours" in refused.text


def test_acts_with_a_field(agent: FlaskClient, service: int, owner: sa.Engine) -> None:
    for act, field, wrong in (("rename", "name", "9"), ("keys", "ssh_keys", "rien"), ("snapshot", "name", " ")):
        assert agent.get(f"/services/{service}/acts/{act}").status_code == 200
        answer = send(agent, f"/services/{service}/acts/{act}", **{field: wrong})
        assert answer.status_code == 422, act
        assert f'id="error-{field}"' in answer.text
    assert send(agent, f"/services/{service}/acts/rename", name="portail").status_code == 302
    assert send(agent, f"/services/{service}/acts/protect").status_code == 302
    assert "est protégé" in send(agent, f"/services/{service}/acts/delete").text
    assert agent.get(f"/services/{service}/acts/fly").status_code == 422


def test_a_deletion_has_its_grace_and_its_undo(agent: FlaskClient, service: int, owner: sa.Engine) -> None:
    assert send(agent, f"/services/{service}/acts/delete_now", confirm="x").status_code == 422
    for act in ("delete", "delete_now"):
        assert "Disque de données (20" in main(agent.get(f"/services/{service}/acts/{act}"))
    assert send(agent, f"/services/{service}/acts/delete").status_code == 302
    page = agent.get(f"/services/{service}").text
    assert "Ce service sera supprimé le" in page
    assert page.count("est en instance de suppression") == 1  # said once, though most acts wait for it
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Flow).values(state="done", ended_at=datetime.now(UTC)))
    assert send(agent, f"/services/{service}/acts/restore_deleted").status_code == 302
    found = row(owner, Service, service)
    assert isinstance(found, Service)
    assert found.delete_after is None


def test_changes_are_shown_then_ordered(agent: FlaskClient, service: int, owner: sa.Engine) -> None:
    path = f"/services/{service}/change/resize"
    assert "taille actuelle" in agent.get(path).text
    shown = agent.get(f"{path}?offer=vm-medium").text
    assert "+18,25\xa0€" in shown
    assert "une à deux minutes" in shown
    answer = send(agent, path, **kept(shown))
    assert answer.status_code == 302
    assert "Changement de taille" in agent.get(answer.location).text
    assert send(agent, path, **kept(shown)).location == answer.location  # pressed twice
    again = send(agent, path, **kept(shown) | {"key": "k2", "offer": "vm-large"})
    assert again.status_code == 409


def test_volumes_and_addresses(agent: FlaskClient, service: int) -> None:
    path = f"/services/{service}/change/volume"
    assert "Un volume ne rétrécit pas" in agent.get(f"{path}?volume=main&disk_gib=5").text
    assert "sont perdues" in agent.get(f"{path}?volume=main&disk_gib=0").text
    assert "La demande n’est pas recevable" in agent.get(f"{path}?volume=A B&disk_gib=5").text
    shown = agent.get(f"/services/{service}/change/address?public_address=1").text
    assert "+2,92\xa0€" in shown
    assert send(agent, f"/services/{service}/change/address", **kept(shown)).status_code == 302
    assert agent.get(f"/services/{service}/change/x").status_code == 422


def test_snapshots_and_their_schedule(agent: FlaskClient, service: int, owner: sa.Engine, house: int) -> None:
    at = datetime.now(UTC)
    with territory_session(owner, "tests") as session:
        one = Snapshot(member_id=house, service_id=service, name="avant", state="ready", size_gib=3, requested_by="t",
                       ready_at=at)  # fmt: skip
        session.add(one)
        session.flush()
        path = f"/services/{service}/snapshots/{one.id}"
        data = [("volume", "main"), ("volume_snapshot", f"snapshot-{one.id}/main")]
        for kind, role in data:
            session.add(Resource(member_id=house, service_id=service, kind=kind, role=role, cloud_id=f"{kind} 1"))
    shown = agent.get(f"{path}/restore").text
    assert not re.search(r'id="field-safety"[^>]* checked', shown), "what has no price is nobody's default"
    with territory_session(owner, "tests") as session:
        meter = session.scalars(sa.select(Meter.id).where(Meter.code == "snapshot")).one()
        session.add(Price(meter_id=meter, during=Range(at, None), hourly=Decimal("0.0001"), book="2026"))
    shown = agent.get(f"{path}/restore").text
    assert "depuis l’instantané «\xa0avant\xa0»" in shown
    assert 'value="system" checked' in shown and "les volumes de données (données)" in shown
    assert re.search(r'id="field-safety"[^>]* checked', shown)
    assert re.search(r'id="help-safety">Environ 0,\d\d.€ par mois', shown)
    assert agent.get(f"{path}/delete").status_code == 200
    schedule = f"/services/{service}/schedule"
    wrong = send(agent, schedule, hour="2", daily="x", weekly="1", monthly="0")
    assert 'id="error-daily"' in wrong.text
    data = {"hour": "3", "daily": "7", "weekly": "4", "monthly": "0", "day-1": "1", "day-5": "1"}
    assert send(agent, schedule, **data).status_code == 302
    found = row(owner, SnapshotSchedule, service)
    assert isinstance(found, SnapshotSchedule)
    assert (found.hour, found.weekdays) == (3, [1, 5])
    assert "lundi, vendredi à 3 h." in re.sub(r"\s+", " ", agent.get(f"/services/{service}").text)
    assert send(agent, f"{path}/restore", what="volumes", safety="1").status_code == 302
    with territory_session(owner, "tests") as session:
        flow = session.scalars(sa.select(Flow).where(Flow.kind == "restore_server")).one()
        kept = session.get_one(Snapshot, flow.parameters["safety_id"])
        assert (kept.name, flow.parameters["volumes"]) == ("Avant restauration de avant", ["main"])
    refused = send(agent, f"{path}/restore", what="system")
    assert (refused.status_code, "checked" in refused.text.split('id="field-safety"')[1].split(">")[0]) == (409, False)
    assert send(agent, f"{path}/delete").status_code == 409
    assert send(agent, f"{schedule}/remove").status_code == 302


def test_costs_and_the_register(agent: FlaskClient, service: int) -> None:
    assert agent.get("/costs").status_code == 200
    assert agent.get("/costs?month=2020-01").status_code == 200
    for month in ("2999-01", "zzz", "1"):
        assert agent.get(f"/costs?month={month}").status_code == 422
    assert agent.get("/costs/export.csv").text.startswith("\ufeffMois;")
    assert "à déclarer par" in agent.get("/register").text
    assert agent.get("/register/register.csv").text.startswith("\ufeff")


def test_webhooks(agent: FlaskClient, owner: sa.Engine) -> None:
    wrong = send(agent, "/webhooks", label="sup", url="http://127.0.0.1/")
    assert wrong.status_code == 422
    assert 'id="error-url"' in wrong.text
    made = send(agent, "/webhooks", label="sup", url="https://hooks.example.fr/x", **{"event-order.placed": "1"})
    secret = re.search(r"whsec_[\w+/=]+", made.text)
    assert secret
    with territory_session(owner, "tests") as session:
        endpoint = session.scalars(sa.select(Endpoint)).one()
        path, events = f"/webhooks/{endpoint.id}", endpoint.events
    assert events == ["order.placed"]
    assert secret[0] not in agent.get(path).text
    assert send(agent, f"{path}/test").status_code == 302
    assert "Essai" in agent.get(path).text
    assert "whsec_" in send(agent, f"{path}/rotate").text
    assert send(agent, path, label="autre", url="https://hooks.example.fr/y").status_code == 302
    assert send(agent, f"{path}/remove").status_code == 302
    assert agent.get(path).status_code == 404


def test_the_auditor_is_offered_no_act(app: APIFlask, service: int) -> None:
    client = invite(app, "Audit", None, ["auditor"]).client()
    for path in (f"/services/{service}", "/orders/1", "/costs", "/services", "/orders", "/register"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert '<form method="post"' not in main(answer), path
        assert "/acts/" not in main(answer), path


@contextmanager
def counting(app: APIFlask) -> Iterator[list[str]]:
    """The statements that the pages send."""
    told: list[str] = []
    engines = app.extensions["engines"]
    listen = lambda _c, _k, statement, *_: told.append(statement)  # noqa: E731
    for engine in (engines.web, engines.door):
        sa.event.listen(engine, "before_cursor_execute", listen)
    yield told
    for engine in (engines.web, engines.door):
        sa.event.remove(engine, "before_cursor_execute", listen)


def test_the_number_of_queries_does_not_grow(
    app: APIFlask, agent: FlaskClient, owner: sa.Engine, web: sa.Engine, house: int, service: int
) -> None:
    paths = ("/", "/services", f"/services/{service}", "/orders", "/costs", "/orders/1", "/register", "/statements")

    def counts() -> dict[str, int]:
        found = {}
        for path in paths:
            with counting(app) as told:
                assert agent.get(path).status_code == 200
            found[path] = len(told)
        return found

    counts()  # what is cached once
    before = counts()
    for number in range(5):
        create(owner, web, house, f"autre-{number}", disk_gib=10)
    with territory_session(owner, "tests") as session:
        for number in range(5):
            session.add(Snapshot(member_id=house, service_id=service, name=f"i{number}", requested_by="t"))
            ended = datetime.now(UTC) - timedelta(hours=number)
            session.add(Flow(member_id=house, service_id=service, kind="reboot_server", state="done", requested_by="t",
                             ended_at=ended))  # fmt: skip
        assert session.scalar(sa.select(Member.id)) == house
    assert counts() == before


def test_an_application_is_ordered_by_its_form(agent: FlaskClient, owner: sa.Engine) -> None:
    with territory_session(owner, "tests") as session:
        catalogue.load(session, places=[STACKS])
    cards = main(agent.get("/catalogue"))
    assert cards.index("Applications") < cards.index("Bonjour") < cards.index("Machines virtuelles")
    assert "BSD-2-Clause" in cards
    assert "Salut, Contact, Jusqu’au" in cards
    form = main(agent.get("/catalogue/hello"))
    assert 'type="email"' in form and 'type="date"' in form
    assert "Les habitants" in form
    wrong = send(agent, "/catalogue/hello", name="salut", image="debian-12", disk_gib="1", greeting="", contact="moi")
    assert wrong.status_code == 422
    assert {"greeting", "contact"} == set(re.findall(r'id="error-([a-z_]+)"', wrong.text))
    typed = {"name": "salut", "image": "debian-12", "disk_gib": "1", "greeting": "Bienvenue", "until": "2027-01-31"}
    page = send(agent, "/catalogue/hello", **typed).text
    assert "Bienvenue" in page
    placed = send(agent, "/catalogue/hello", **kept(page), step="order")
    assert "Bienvenue" in agent.get(placed.headers["Location"]).text
