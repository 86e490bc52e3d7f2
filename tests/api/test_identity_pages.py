"""The pages of people: sign in with a second factor, choose a password by link, manage one's account and one's team."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from orchestrator.database import territory_session
from tests.api.conftest import Caller
from tests.api.people import PASSWORD, Person, csrf, invite
from tests.tenants.ordering import member

pytestmark = pytest.mark.slow

OTHER = "cinq hiboux verts chantent"


def word(client: FlaskClient, path: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found, path
    return found[1]


def post(client: FlaskClient, path: str, seen: str | None = None, **data: Any) -> TestResponse:
    return client.post(path, data={"csrf": word(client, seen or path), **data})


def sign_in(app: APIFlask, email: str, password: str = PASSWORD) -> tuple[FlaskClient, TestResponse]:
    client = app.test_client()
    return client, post(client, "/sign-in", email=email, password=password)


def mailed(owner: sa.Engine, template: str) -> dict[str, Any]:
    """The facts of the newest queued mail."""
    with owner.connect() as connection:
        query = "SELECT facts FROM mails WHERE template = :template ORDER BY id DESC LIMIT 1"
        facts: dict[str, Any] = connection.execute(sa.text(query), {"template": template}).scalar_one()
    return facts


@pytest.fixture
def camille(app: APIFlask, owner: sa.Engine) -> Person:
    member(owner, "brevaux")
    return invite(app, "Camille Faure", "brevaux", ["requester", "approver"])


@pytest.fixture
def admin(app: APIFlask) -> Person:
    return invite(app, "Dominique Admin", None, ["dsi_admin"])


def second_factor(client: FlaskClient) -> tuple[pyotp.TOTP, list[str]]:
    assert post(client, "/account/second-factor", "/account").headers["Location"] == "/account/second-factor"
    page = client.get("/account/second-factor").text
    assert "<svg" in page
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", page)
    assert secret
    totp = pyotp.TOTP(secret[1])
    path, code = "/account/second-factor", totp.at(datetime.now(UTC), counter_offset=-1)
    shown = post(client, f"{path}/confirm", path, code=code).text
    codes = re.findall(r"<code>([a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4})</code>", shown)
    assert len(codes) == 10
    return totp, codes


def test_a_second_factor_from_the_first_code_to_the_last(app: APIFlask, camille: Person) -> None:
    client, _ = sign_in(app, camille.email)
    totp, codes = second_factor(client)
    code = totp.now()
    fresh, answer = sign_in(app, camille.email)
    assert answer.headers["Location"] == "/sign-in/code"
    assert fresh.get("/").headers["Location"] == "/sign-in"
    assert post(fresh, "/sign-in/code", code="000000").status_code == 401
    assert post(fresh, "/sign-in/code", code=code).headers["Location"] == "/"
    assert fresh.get("/account").status_code == 200
    again, _ = sign_in(app, camille.email)
    assert post(again, "/sign-in/code", code=code).status_code == 401, "a code is good once"
    assert post(again, "/sign-in/code", code=codes[0]).headers["Location"] == "/"
    third, _ = sign_in(app, camille.email)
    assert post(third, "/sign-in/code", code=codes[0]).status_code == 401, "so is a recovery code"
    assert post(third, "/sign-in/code", code=codes[1].upper()).headers["Location"] == "/"
    assert post(third, "/account/second-factor/end", "/account", code=codes[2]).headers["Location"] == "/account"
    _, last = sign_in(app, camille.email)
    assert last.headers["Location"] == "/"


def test_a_forgotten_password(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    old, _ = sign_in(app, camille.email)
    client = app.test_client()
    known = post(client, "/forgotten", email=camille.email)
    link = mailed(owner, "reset")["path"]
    for _ in range(3):  # scanners of mail look at links
        assert "Nouveau mot de passe" in client.get(link).text
        assert client.head(link).status_code == 200
    assert "Douze caractères" in post(client, link, password="court").text
    assert post(client, link, password=OTHER).headers["Location"] == "/"
    assert old.get("/account").status_code == 302, "other sessions have ended"
    assert client.get("/account").status_code == 200
    again = app.test_client()
    assert again.get(link).status_code == 404, "a link is good once"
    assert sign_in(app, camille.email)[1].status_code == 401
    assert sign_in(app, camille.email, OTHER)[1].status_code == 302
    unknown = post(app.test_client(), "/forgotten", email="nobody@brevaux.fr")
    assert (unknown.status_code, unknown.headers["Location"]) == (known.status_code, known.headers["Location"])


def test_an_account_is_changed_by_its_owner(app: APIFlask, camille: Person) -> None:
    client, _ = sign_in(app, camille.email)
    other, _ = sign_in(app, camille.email)
    assert post(client, "/account", name="Camille Faure-Roux", language="en").status_code == 302
    page = client.get("/account").text
    assert "Faure-Roux" in page
    assert '<html lang="en">' in page
    assert post(client, "/account", name=" ", language="fr").status_code == 422
    wrong = post(client, "/account/password", "/account", present="no", wanted=OTHER)
    assert wrong.status_code == 422
    weak = post(client, "/account/password", "/account", present=PASSWORD, wanted="camille.faure")
    assert weak.status_code == 422
    before = client.get_cookie("clocher")
    assert post(client, "/account/password", "/account", present=PASSWORD, wanted=OTHER).status_code == 302
    after = client.get_cookie("clocher")
    assert before and after and before.value != after.value
    assert other.get("/account").status_code == 302
    assert client.get("/account").status_code == 200


def test_sessions_are_listed_and_ended(app: APIFlask, camille: Person) -> None:
    client, _ = sign_in(app, camille.email)
    other, _ = sign_in(app, camille.email)
    ids = re.findall(r"/account/sessions/(\d+)/end", client.get("/account").text)
    assert len(ids) == 2
    form = {"csrf": csrf(client)}
    for session_id in ids:
        client.post(f"/account/sessions/{session_id}/end", data=form)
        if other.get("/account").status_code == 302:
            break
    assert [one.get("/account").status_code for one in (client, other)].count(302) >= 1


def test_a_token_is_shown_once_and_never_more_than_its_owner(app: APIFlask, camille: Person) -> None:
    client = camille.client()
    page = post(client, "/tokens", label="sauvegarde", days="90", **{"scope-read": "1"}).text
    secret = re.search(r"clo_[A-Za-z0-9_-]{51}", page)
    assert secret
    assert secret[0] not in client.get("/tokens").text
    api = app.test_client()
    bearer = {"Authorization": f"Bearer {secret[0]}"}
    assert api.get("/api/v1/services", headers=bearer).status_code == 200
    refused = api.post("/api/v1/orders", headers={**bearer, "Idempotency-Key": "k"}, json={"offer": "x"})
    assert (refused.status_code, refused.json["code"]) == (403, "role_missing")
    assert post(client, "/tokens", label="x", days="4000", **{"scope-read": "1"}).status_code == 422
    [token_id] = re.findall(r"/tokens/(\d+)/revoke", client.get("/tokens").text)
    assert client.post(f"/tokens/{token_id}/revoke", data={"csrf": csrf(client)}).status_code == 302
    assert api.get("/api/v1/services", headers=bearer).status_code == 401


def test_an_approver_keeps_the_team(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    client = camille.client()
    form = {"name": "Sacha Petit", "email": "sacha@brevaux.fr", "language": "fr", "role-requester": "1"}
    refused = post(client, "/people", **{**form, "email": "aurélie@brevaux.fr"})
    assert (refused.status_code, 'id="error-email"' in refused.text) == (422, True)
    assert post(client, "/people", **form).headers["Location"] == "/people"
    assert "Sacha Petit" in client.get("/people").text
    invited = mailed(owner, "invitation")
    assert (invited["member"], invited["choose"]) == ("Brevaux", True)
    guest = app.test_client()
    assert post(guest, invited["path"], password=OTHER).headers["Location"] == "/"
    assert guest.get("/account").status_code == 200
    assert guest.get("/people").status_code == 200
    assert post(guest, "/account", name="Sacha Petit", language="fr").status_code == 302
    assert guest.post("/people", data={**form, "csrf": csrf(guest)}).status_code == 403
    [account_id] = {one for one in re.findall(r'/people/(\d+)"', client.get("/people").text)
                    if "Sacha" in client.get(f"/people/{one}").text}  # fmt: skip
    path = f"/people/{account_id}"
    assert post(client, f"{path}/roles", path).headers["Location"] == "/people"
    assert guest.get("/account").status_code == 302, "without a role here the session ends"
    assert client.get(path).status_code == 404


def test_who_leaves_has_nothing_left(app: APIFlask, camille: Person, admin: Person, owner: sa.Engine) -> None:
    client, bearer = camille.client(), {"Authorization": f"Bearer {camille.token()}"}
    assert app.test_client().get("/api/v1/services", headers=bearer).status_code == 200
    path = f"/people/{camille.account_id}"
    browser = admin.client()
    assert post(browser, f"{path}/close", path).status_code == 302
    assert client.get("/account").status_code == 302
    assert app.test_client().get("/api/v1/services", headers=bearer).status_code == 401
    assert sign_in(app, camille.email)[1].status_code == 401
    with territory_session(owner, "tests") as session:
        for table in ("account_roles", "sessions", "credentials", "account_links"):
            query = sa.text(f"SELECT count(*) FROM {table} WHERE account_id = :id")
            assert session.scalar(query, {"id": camille.account_id}) == 0, table
    own = f"/people/{admin.account_id}"
    refused = post(browser, f"{own}/close", own)
    assert (refused.status_code, "last_admin" in refused.text) == (409, True)


def test_one_may_act_for_several_houses(app: APIFlask, camille: Person, owner: sa.Engine, admin: Person) -> None:
    orgelune = member(owner, "orgelune")
    form = {"name": "Camille", "email": camille.email, "language": "fr", "member": "orgelune", "role-finance": "1"}
    assert post(admin.client(), "/people", **form).headers["Location"] == "/people"
    client = camille.client()
    before = client.get_cookie("clocher")
    assert post(client, "/acting-for", "/account", member=str(orgelune)).headers["Location"] == "/"
    after = client.get_cookie("clocher")
    assert before and after and before.value != after.value
    stale = app.test_client()
    stale.set_cookie("clocher", before.value)
    assert stale.get("/account").status_code == 302, "the old id is worth nothing"
    assert client.post("/acting-for", data={"csrf": csrf(client), "member": "99"}).status_code == 404
    assert client.post("/acting-for", data={"csrf": csrf(client)}).status_code == 404, "no role in the territory"
    assert client.post("/people", data={**form, "csrf": csrf(client)}).status_code == 403, "finance only there"


def test_the_dsi_takes_a_lost_second_factor_off(app: APIFlask, camille: Person, admin: Person) -> None:
    client, _ = sign_in(app, camille.email)
    second_factor(client)
    path = f"/people/{camille.account_id}"
    browser = admin.client()
    assert "Retirer la double authentification" in browser.get(path).text
    assert post(browser, f"{path}/second-factor/end", path).status_code == 302
    assert sign_in(app, camille.email)[1].headers["Location"] == "/"


def test_a_switched_off_account_of_a_member_caller(brevaux: Caller, orgelune: Caller) -> None:
    assert brevaux.person and orgelune.person
    browser = brevaux.person.client()
    assert browser.get(f"/people/{orgelune.person.account_id}").status_code == 404
