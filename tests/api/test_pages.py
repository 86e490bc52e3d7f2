"""The pages without a browser: sign-in, cookie, forms of other sites, headers, what is shown to whom."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy.dialects.postgresql import Range
from werkzeug.test import TestResponse

from orchestrator.database import territory_session
from orchestrator.tables import AnsibleEvent, Flow, Member
from tenants.tables import Period, Statement
from tests.api.conftest import Caller
from tests.api.people import PASSWORD
from tests.tenants.ordering import NOW, wish

pytestmark = pytest.mark.slow


def word(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def sign_in(caller: Caller) -> tuple[FlaskClient, TestResponse]:
    client = caller.app.test_client()
    email = caller.person.email if caller.person else "nobody@nowhere.fr"
    form = {"csrf": word(client.get("/sign-in").text), "email": email, "password": PASSWORD}
    return client, client.post("/sign-in", data=form)


def test_signed_in_and_out(brevaux: Caller, owner: sa.Engine) -> None:
    client, answer = sign_in(brevaux)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    home = client.get("/").text
    assert "Brevaux" in home
    assert "Aucun service pour l’instant" in home
    client.post("/sign-out", data={"csrf": word(home)})
    assert client.get("/").headers["Location"] == "/sign-in"


def test_over_https_the_cookie_is_secure(brevaux: Caller) -> None:
    client = brevaux.app.test_client()
    assert "Secure" in client.get("/sign-in", base_url="https://localhost").headers["Set-Cookie"]


def test_a_wrong_password_is_said_in_the_form(app: APIFlask) -> None:
    _, answer = sign_in(Caller(app, None))
    assert answer.status_code == 401
    assert "Adresse ou mot de passe inexact." in answer.text
    assert PASSWORD not in answer.text


def test_a_cookie_opens_no_api_and_a_token_no_page(brevaux: Caller) -> None:
    client, _ = sign_in(brevaux)
    assert client.get("/api/v1/orders").status_code == 401
    bearer = {"Authorization": f"Bearer {brevaux.secret}"}
    assert brevaux.app.test_client().get("/", headers=bearer).status_code == 302


def test_a_forged_cookie_is_nobody(app: APIFlask) -> None:
    client = app.test_client()
    client.set_cookie("clocher", "eyJ0b2tlbiI6IjAwIn0.aaaaaa.bbbbbb")
    client.set_cookie("clocher-door", "eyJ0b2tlbiI6IjAwIn0.aaaaaa.bbbbbb")
    assert client.get("/").headers["Location"] == "/sign-in"


def test_forms_of_other_sites_do_nothing(brevaux: Caller, owner: sa.Engine) -> None:
    flow_id = brevaux.place(wish()).json["flow_id"]
    client, _ = sign_in(brevaux)
    for data in ({}, {"csrf": "guess"}, {"csrf": "é"}):
        answer = client.post(f"/flows/{flow_id}/cancel", data=data)
        assert answer.status_code == 422
        assert "form_expired" in answer.text
    with territory_session(owner, "tests") as session:
        assert session.get_one(Flow, flow_id).cancel_requested is False
    form = {"csrf": word(client.get(f"/flows/{flow_id}/cancel").text)}
    assert client.post(f"/flows/{flow_id}/cancel", data=form).status_code == 302
    with territory_session(owner, "tests") as session:
        assert session.get_one(Flow, flow_id).cancel_requested is True


def test_a_cancellation_says_what_it_undoes(brevaux: Caller, dsi: Caller, owner: sa.Engine) -> None:
    flow_id = brevaux.place(wish()).json["flow_id"]
    for caller, path in ((brevaux, f"/flows/{flow_id}"), (dsi, f"/admin/flows/{flow_id}")):
        client, _ = sign_in(caller)
        shown = client.get(path).text
        assert f'href="{path}/cancel"' in shown and f'action="{path}/cancel"' not in shown
        asked = client.get(f"{path}/cancel").text
        assert "Annuler l’opération «\xa0Création\xa0» de «\xa0web\xa0»" in asked
        assert "il faudrait le commander de nouveau" in asked and "La laisser continuer" in asked
        assert f'action="{path}/cancel"' in asked
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Flow).values(state="done", ended_at=sa.func.now()))
    over = client.get(f"{path}/cancel")
    assert over.status_code == 409 and "déjà finie" in over.text


def test_what_was_before_the_sign_in_is_not_trusted_after(brevaux: Caller) -> None:
    client = brevaux.app.test_client()
    before = word(client.get("/sign-in").text)
    assert brevaux.person
    client.post("/sign-in", data={"csrf": before, "email": brevaux.person.email, "password": PASSWORD})
    assert word(client.get("/").text) != before


def test_strict_headers_and_nothing_inline(brevaux: Caller) -> None:
    brevaux.place(wish())
    client, _ = sign_in(brevaux)
    for path in ("/", "/flows/1", "/catalogue", "/statements", "/plan-du-site", "/nowhere"):
        answer = client.get(path)
        assert answer.status_code == (404 if path == "/nowhere" else 200)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert '<html lang="fr">' in answer.text
        assert 'href="#content"' in answer.text
        assert not re.search(r"<script>|<style|style=|\son[a-z]+=|https?://", answer.text), path


def test_an_address_that_leads_nowhere_keeps_the_menu(brevaux: Caller) -> None:
    client, _ = sign_in(brevaux)
    for answer in (client.get("/nowhere"), client.get("/sign-out")):
        assert 'href="/services"' in answer.text
        assert "JSON" not in answer.text
        assert "Camille" in answer.text
    assert "Camille" not in brevaux.app.test_client().get("/nowhere").text


def test_foreign_and_unknown_look_alike(brevaux: Caller, orgelune: Caller) -> None:
    flow_id = brevaux.place(wish()).json["flow_id"]
    client, _ = sign_in(orgelune)
    foreign, unknown = client.get(f"/flows/{flow_id}"), client.get("/flows/999")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.text.replace("/flows/1?", "/flows/999?") == unknown.text
    assert "web" not in client.get("/").text.split("<main")[1]


def test_only_the_living_part_is_polled(brevaux: Caller) -> None:
    brevaux.place(wish())
    client, _ = sign_in(brevaux)
    assert '<meta http-equiv="refresh"' in client.get("/").text
    part = client.get("/?part=live").text
    assert part.startswith('<div id="live"')
    assert "every 1s" in part
    assert "<html" not in part


def test_tasks_are_told_in_the_readers_language(brevaux: Caller, dsi: Caller, owner: sa.Engine) -> None:
    flow_id = brevaux.place(wish()).json["flow_id"]
    names = ("Set the host name", "Validating arguments against arg spec 'main' - What every guest has", "Own <task>")
    with territory_session(owner, "worker") as session:
        of = {"flow_id": flow_id, "member_id": session.get_one(Flow, flow_id).member_id, "outcome": "ok"}
        for name in names:
            uuid = sa.func.gen_random_uuid()
            session.add(AnsibleEvent(**of, uuid=uuid, event="runner_on_ok", task=name))
            session.flush()
    own = "Own &lt;task&gt;"
    french = ["Régler le nom de la machine", "Vérifier les paramètres", f'<span lang="en">{own}</span>']
    english = ["Set the host name", "Validating arguments against arg spec &#39;main&#39; - What every guest has", own]
    for caller, path in ((brevaux, f"/flows/{flow_id}"), (dsi, f"/admin/flows/{flow_id}")):
        client, _ = sign_in(caller)
        for language, expected in (("fr", french), ("en", english)):
            page = client.get(f"{path}?lang={language}").text
            assert re.findall(r'</time>\s*<span>(.+?)</span> <span class="outcome">', page) == expected


def test_amounts_and_instants_are_french(dsi: Caller, brevaux: Caller) -> None:
    brevaux.place(wish("gros"), "vm-xlarge")
    client, _ = sign_in(dsi)
    home = client.get("/").text
    assert "116,80\xa0€" in home
    assert re.search(r">\d\d/\d\d/\d{4} \d\d:\d\d<", client.get("/orders/1").text)
    assert "brevaux" in home


@pytest.fixture
def statement_id(owner: sa.Engine, brevaux: Caller) -> int:
    """A draft of brevaux for a month."""
    with territory_session(owner, "finance") as session:
        period = Period(label="2026-10", during=Range(NOW.replace(month=10), NOW), state="draft")
        session.add(period)
        session.flush()
        member_id = session.scalars(sa.select(Member.id).where(Member.slug == "brevaux")).one()
        statement = Statement(period_id=period.id, member_id=member_id, total=Decimal("1234.56"))
        session.add(statement)
        session.flush()
        return statement.id


def test_statements_are_read_and_downloaded(brevaux: Caller, orgelune: Caller, statement_id: int) -> None:
    listed = brevaux("GET", "/statements?period=2026-10").json["items"]
    assert [(one["period"], one["total"], one["state"]) for one in listed] == [("2026-10", "1234.56", "draft")]
    document = brevaux("GET", f"/statements/{statement_id}").json
    assert (document["member"]["slug"], document["total"], document["lines"]) == ("brevaux", "1234.56", [])
    client, _ = sign_in(brevaux)
    assert "1\u202f234,56\xa0€" in client.get("/statements").text
    for answer in (brevaux("GET", f"/statements/{statement_id}.csv"), client.get(f"/statements/{statement_id}.csv")):
        assert answer.headers["Content-Disposition"] == 'attachment; filename="releve-2026-10-brevaux.csv"'
        assert answer.data.startswith(b"\xef\xbb\xbf")
        assert "1234,56" in answer.text
    assert orgelune("GET", "/statements").json["items"] == []
    for path in (f"/statements/{statement_id}", f"/statements/{statement_id}.csv", "/statements/99"):
        assert orgelune("GET", path).json["code"] == "not_found"


def test_a_broken_page_needs_no_database_to_say_so(brevaux: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = sign_in(brevaux)

    def breaks() -> None:
        raise OSError("no database")

    monkeypatch.setitem(brevaux.app.jinja_env.globals, "announcements", breaks)
    answer = client.get("/catalogue")
    assert answer.status_code == 500
    assert "internal_error" in answer.text
    assert "no database" not in answer.text
    assert "Retour à l’accueil" in answer.text


def test_what_no_row_can_be_is_refused(brevaux: Caller, dsi: Caller) -> None:
    """A number beyond what the database counts, the character NUL: no fault of ours, on pages as in the API."""
    assert brevaux.person and dsi.person
    beyond = 10**20
    for caller, path in ((brevaux, "/services"), (brevaux, "/orders"), (dsi, "/admin/flows"), (dsi, "/admin/audit")):
        client = caller.person.client() if caller.person else caller.app.test_client()
        assert client.get(f"{path}?after={beyond}").status_code == 200, path
        assert client.get(f"{path}?after=-{beyond}").status_code == 200, path
    client = dsi.person.client()
    for path in (f"/admin/catalogue/{beyond}", f"/admin/catalogue/yaml?offer={beyond}", f"/admin/policy/{beyond}"):
        assert client.get(path).status_code == 404, path
    for path in ("/services?text=a%00b", "/catalogue/vm%00small", "/admin/audit?actor=%00"):
        assert client.get(path).status_code == 422, path
    refused = dsi("GET", "/members/a%00b")
    assert (refused.status_code, refused.json["code"]) == (422, "invalid_request")
    assert sign_in(Caller(brevaux.app, None))[0].post("/forgotten", data={"email": "a\0b"}).status_code == 422
