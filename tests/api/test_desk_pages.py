"""Pages about how one is told, and who decides: webhooks, mails, deputies, the register; and where mails lead."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from orchestrator.database import territory_session
from orchestrator.tables import Service
from tenants import notices, notices_mail, webhooks
from tenants.tables_approvals import Deputy
from tenants.tables_notices import Attempt, Delivery, Endpoint, NoticeChoice
from tests.api.people import Person, csrf, invite
from tests.tenants.ordering import member, seed

pytestmark = pytest.mark.slow

PARIS = ZoneInfo("Europe/Paris")
SENT = ((30, "order.placed", "failed"), (2, "order.expired", "failed"), (1, "order.placed", "sent"))  # hours ago
HOOK = {"label": "Supervision", "url": "https://hooks.example.net/clocher", "event-order.placed": "1"}


@pytest.fixture
def brevaux(owner: sa.Engine, app: APIFlask) -> int:
    seed(owner)
    member(owner, "orgelune")
    return member(owner, "brevaux")


@pytest.fixture
def camille(app: APIFlask, brevaux: int) -> Person:
    return invite(app, "Camille Roy", "brevaux", ["requester"])


@pytest.fixture
def noor(app: APIFlask, brevaux: int) -> Person:
    return invite(app, "Noor Adel", "brevaux", ["approver"])


def post(client: FlaskClient, path: str, **data: Any) -> TestResponse:
    return client.post(path, data={"csrf": csrf(client), **data}, follow_redirects=True)


def rows(owner: sa.Engine, kind: type[Any]) -> list[Any]:
    with territory_session(owner, "tests") as session:
        return list(session.scalars(sa.select(kind).order_by(kind.id)))


def hook(client: FlaskClient, owner: sa.Engine) -> Endpoint:
    answer = post(client, "/webhooks", **HOOK)
    assert answer.status_code == 200, answer.text
    made: Endpoint = rows(owner, Endpoint)[-1]
    return made


def test_a_webhook_from_its_secret_to_its_end(owner: sa.Engine, camille: Person) -> None:
    client = camille.client()
    first = post(client, "/webhooks", **HOOK)
    [secret] = re.findall(r"whsec_[A-Za-z0-9+/=]+", first.text)
    [made] = rows(owner, Endpoint)
    assert (made.label, made.events, made.account_id) == ("Supervision", ["order.placed"], camille.account_id)
    path = f"/webhooks/{made.id}"
    assert "whsec_" not in client.get(path).text  # shown once
    rotated = post(client, f"{path}/rotate")
    assert len(re.findall(r"whsec_[A-Za-z0-9+/=]+", rotated.text)) == 1
    assert secret not in rotated.text
    changed = post(client, path, label="Parc", url=HOOK["url"], **{"event-order.placed": "1", "event-flow.failed": "1"})
    assert "Parc" in changed.text
    assert rows(owner, Endpoint)[0].events == ["flow.failed", "order.placed"]
    post(client, f"{path}/test")
    assert [row.event for row in rows(owner, Delivery)] == ["webhook.test"]
    off = post(client, f"{path}/disable")
    assert "est désactivé" in off.text
    assert "ont échoué" not in off.text
    refused = post(client, f"{path}/test")
    assert "Activez-le d’abord." in refused.text
    assert rows(owner, Endpoint)[0].state == "disabled"
    assert "est actif à nouveau" in post(client, f"{path}/enable").text
    assert "Ce qui sera perdu" in client.get(f"{path}/remove").text
    assert "est retiré" in post(client, f"{path}/remove").text
    assert client.get(path).status_code == 404


def test_a_wrong_webhook_is_said_at_its_field(owner: sa.Engine, camille: Person) -> None:
    client = camille.client()
    answer = post(client, "/webhooks", **{**HOOK, "url": "https://127.0.0.1/"})
    assert answer.status_code == 422
    assert 'id="error-url"' in answer.text
    assert "réseau privé" in answer.text
    assert "Supervision" in answer.text  # what was typed stays
    assert rows(owner, Endpoint) == []


def test_what_was_sent_is_filtered_and_replayed(owner: sa.Engine, camille: Person, brevaux: int) -> None:
    client = camille.client()
    endpoint, now = hook(client, owner), datetime.now(UTC)
    with territory_session(owner, "tests") as session:
        for hours, event, state in SENT:
            at = now - timedelta(hours=hours)
            sent = Delivery(endpoint_id=endpoint.id, member_id=brevaux, event=event, body='{"order":4}', state=state,
                            due_at=at, queued_at=at, ended_at=at)  # fmt: skip
            session.add(sent)
            session.flush()
            session.add(Attempt(delivery_id=sent.id, member_id=brevaux, at=at, milliseconds=1234, status=503,
                                answer="<b>plus tard"))  # fmt: skip
    path = f"/webhooks/{endpoint.id}"
    log = client.get(path).text
    assert len(re.findall(r"HTTP 503, 1\s234\sms", log)) == 6  # said of each delivery and of its one try
    assert "&lt;b&gt;plus tard" in log
    failed = client.get(f"{path}?state=failed&event=order.placed").text
    assert failed.count('<details class="tries">') == 1
    assert "Aucun envoi ne répond" in client.get(f"{path}?state=queued").text
    since = (now - timedelta(hours=3)).astimezone(PARIS).strftime("%Y-%m-%dT%H:%M")
    assert "1 envoi repart." in post(client, f"{path}/replay", since=since).text
    assert [row.state for row in rows(owner, Delivery)] == ["failed", "queued", "sent"]
    assert "1 envoi repart." in post(client, f"{path}/replay", since=since, sent_too="1").text
    assert [row.state for row in rows(owner, Delivery)] == ["failed", "queued", "queued"]
    assert "l’envoi part" in post(client, f"/webhooks/deliveries/{rows(owner, Delivery)[0].id}/replay").text.lower()
    assert [row.state for row in rows(owner, Delivery)] == ["queued", "queued", "queued"]
    wrong = post(client, f"{path}/replay", since="demain")
    assert (wrong.status_code, "Il faut un jour et une heure." in wrong.text) == (422, True)


def test_webhooks_of_another_house_are_unknown(app: APIFlask, owner: sa.Engine, camille: Person, noor: Person) -> None:
    endpoint = hook(camille.client(), owner)
    other = invite(app, "Autre Part", "orgelune", ["requester"]).client()
    assert other.get(f"/webhooks/{endpoint.id}").status_code == 404
    for act in ("disable", "replay", "rotate", "remove"):
        assert post(other, f"/webhooks/{endpoint.id}/{act}", since="2026-01-01T00:00").status_code == 404
    assert noor.client().get("/webhooks").status_code == 403
    assert rows(owner, Endpoint)[0].state == "active"


def test_one_chooses_ones_mails(owner: sa.Engine, camille: Person) -> None:
    client = camille.client()
    assert re.search(r'value="mine"\s+checked', client.get("/account/notices").text)
    assert "Votre choix est enregistré." in post(client, "/account/notices", choice="none").text
    with territory_session(owner, "tests") as session:
        kept = session.scalars(sa.select(NoticeChoice)).one()
        assert (kept.account_id, kept.choice) == (camille.account_id, "none")
    assert re.search(r'value="none"\s+checked', client.get("/account/notices").text)
    wrong = post(client, "/account/notices", choice="sometimes")
    assert (wrong.status_code, "Ce choix n’existe pas." in wrong.text) == (422, True)


def test_an_approver_appoints_a_deputy_and_ends_it(owner: sa.Engine, camille: Person, noor: Person) -> None:
    client, today = noor.client(), datetime.now(UTC).astimezone(PARIS).date()
    form = {"of": f"{noor.account_id} approver", "deputy": str(camille.account_id), "begins": today.isoformat()}
    last = today + timedelta(days=3)
    answer = post(client, "/people/deputies", **form, ends=last.isoformat())
    assert "La suppléance est enregistrée." in answer.text
    assert f"{last:%d/%m/%Y}" in answer.text  # the last day is the one that was typed
    [made] = rows(owner, Deputy)
    assert (made.account_id, made.deputy_id, made.role) == (noor.account_id, camille.account_id, "approver")
    assert made.during.upper.astimezone(PARIS).date() == last + timedelta(days=1)
    assert made.during.lower <= datetime.now(UTC)
    assert "a pris fin" in post(camille.client(), f"/people/deputies/{made.id}/end").text  # the deputy may too
    assert "Aucune suppléance" in client.get("/people/deputies").text


def test_wrong_deputies_are_refused(app: APIFlask, owner: sa.Engine, camille: Person, noor: Person) -> None:
    client = noor.client()
    form = {"of": f"{noor.account_id} approver", "deputy": str(camille.account_id), "begins": "2027-01-05"}
    backwards = post(client, "/people/deputies", **form, ends="2027-01-01")
    assert (backwards.status_code, 'id="error-ends"' in backwards.text) == (422, True)
    assert 'id="error-begins"' in post(client, "/people/deputies", **{**form, "begins": "2027-02-30"}).text
    assert 'id="error-deputy"' in post(client, "/people/deputies", **{**form, "deputy": form["of"]}).text
    # Who decides nothing has nobody to replace, and can't appoint for an approver.
    mine = camille.client()
    assert "aucun rôle qui décide" in mine.get("/people/deputies").text
    assert post(mine, "/people/deputies", **form).status_code == 403
    stranger = invite(app, "Autre Part", "orgelune", ["approver"]).client()
    assert post(stranger, "/people/deputies", **form).status_code == 422
    assert rows(owner, Deputy) == []


def test_the_register_is_read_and_taken_away(app: APIFlask, owner: sa.Engine, camille: Person, brevaux: int) -> None:
    with territory_session(owner, "tests") as session:
        session.add(Service(member_id=brevaux, name="etat-civil", state="active", specification={}))
    client = camille.client()
    page = client.get("/register").text
    assert "etat-civil" in page
    csv = client.get("/register/register.csv")
    assert csv.data.startswith(b"\xef\xbb\xbf")
    assert "etat-civil" in csv.data.decode()
    other = invite(app, "Autre Part", "orgelune", ["requester"]).client()
    assert "etat-civil" not in other.get("/register?member=brevaux").text
    assert "etat-civil" not in other.get("/register/register.csv?member=brevaux").text
    dsi = invite(app, "Yann Le Goff", None, ["dsi_admin"]).client()
    assert "Choisissez un membre." in dsi.get("/register").text
    assert "etat-civil" in dsi.get("/register?member=brevaux").text
    assert "etat-civil" in dsi.get("/register/register.csv?member=brevaux").data.decode()


def test_what_mails_and_webhooks_lead_to_is_there(app: APIFlask) -> None:
    """Each address of a notice answers to a GET."""
    ways = app.url_map.bind("localhost")
    paths = {f"{place}7" for place in notices.PLACES.values()} | written(Path(notices_mail.__file__))
    assert {"/orders/7", "/services/7", "/flows/7", "/statements/7", "/costs", "/webhooks"} <= paths
    for path in paths:
        endpoint, _ = ways.match(path, "GET")
        assert endpoint.split(".")[0].endswith("_pages"), path
    assert set(notices.EVENTS.values()) <= set(webhooks.EVENTS)


def written(file: Path) -> set[str]:
    """The values of `path` in a module, with 7 for each number."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "path":
                    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
                    found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts))
    return found
