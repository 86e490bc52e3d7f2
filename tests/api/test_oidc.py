"""Signing in through a real OpenID provider, in ProConnect's way and in Keycloak's; and the ways to cheat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.app import create
from orchestrator.database import territory_session
from orchestrator.settings import OpenIDProvider, Settings
from tenants import accounts
from tests.api.openid_provider import OpenIDServer, running
from tests.api.people import Person, csrf, invite
from tests.tenants.ordering import SIRENS, member

pytestmark = pytest.mark.slow

FOREIGN = "356 000 000 00048"  # a real establishment of nobody here, written as people write it


@pytest.fixture(params=["proconnect", pytest.param("standard", marks=pytest.mark.slow)])
def provider(request: pytest.FixtureRequest) -> Iterator[OpenIDServer]:
    with running(request.param) as server:
        server.user = {"sub": "sub-1", "email": "Camille.Faure@brevaux.fr", "given_name": "Camille"}
        server.user |= {"usual_name": "Faure"} if server.kind == "proconnect" else {"family_name": "Faure"}
        server.user |= {} if server.kind == "proconnect" else {"email_verified": True}
        yield server


@pytest.fixture
def app(settings: Settings, provider: OpenIDServer) -> Iterator[APIFlask]:
    chosen = OpenIDProvider(
        name="agents", label="ProConnect", issuer=provider.url, client_id=provider.client_id,
        client_secret=provider.client_secret, kind=provider.kind,
    )  # fmt: skip
    made = create(settings.model_copy(update={"oidc_providers": (chosen,)}))
    yield made
    made.extensions["engines"].dispose()


@pytest.fixture
def camille(app: APIFlask, owner: sa.Engine) -> Person:
    member(owner, "brevaux")
    return invite(app, "Camille Faure", "brevaux", ["requester"])


def siret(number: int) -> str:
    """The SIRET of the member made as number so and so (a valid one of its SIREN)."""
    from stdnum.fr import siret as siret_number
    from stdnum.luhn import calc_check_digit

    nic = f"{SIRENS[number]}0001"
    return str(siret_number.validate(nic + calc_check_digit(nic)))


def at_provider(client: FlaskClient, path: str = "/sign-in/with/agents") -> str:
    """Go to the provider, sign in there; where it sends the browser back to, as a path of ours."""
    there = client.get(path).headers["Location"]
    answer = requests.get(there, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def sign_in(app: APIFlask) -> tuple[FlaskClient, TestResponse]:
    client = app.test_client()
    return client, client.get(at_provider(client))


def test_an_agent_signs_in_and_out(app: APIFlask, camille: Person, provider: OpenIDServer) -> None:
    provider.user["siret"] = siret(0)
    client = app.test_client()
    assert "ProConnect" in client.get("/sign-in").text
    answer = client.get(at_provider(client, "/sign-in/with/agents?next=/catalogue"))
    assert answer.headers["Location"] == "/catalogue"
    assert "camille.faure@brevaux.fr" in client.get("/account").text
    page = client.post("/sign-out", data={"csrf": csrf(client)}).text
    there = page.split("url=")[1].split('"')[0].replace("&amp;", "&")
    asked = parse_qs(urlsplit(there).query)
    assert asked["id_token_hint"][0].count(".") == 2
    assert len(asked["state"][0]) >= 32
    assert requests.get(there, timeout=10).status_code == 200
    assert client.get("/account").status_code == 302


def test_one_signs_out_though_the_provider_is_down(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    client, _ = sign_in(app)
    agents = app.extensions["providers"]["agents"]
    agents._metadata = {}  # after a restart, it asks anew
    agents.chosen = agents.chosen.model_copy(update={"issuer": "http://127.0.0.1:1"})
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE sessions SET issuer = 'http://127.0.0.1:1'"))
    answer = client.post("/sign-out", data={"csrf": csrf(client)})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in")
    assert client.get_cookie("clocher") is None


def test_a_name_is_one_line(app: APIFlask, camille: Person, provider: OpenIDServer, owner: sa.Engine) -> None:
    provider.user |= {"sub": "new", "email": "new@elsewhere.fr", "given_name": "Sacha\0\r\nBcc: x\u202e"}
    assert sign_in(app)[1].status_code == 302
    with owner.connect() as connection:
        query = sa.text("SELECT name FROM accounts WHERE state = 'pending'")
        assert connection.execute(query).scalar_one() == "SachaBcc: x Faure"


def test_the_second_time_the_subject_is_enough(app: APIFlask, camille: Person, provider: OpenIDServer) -> None:
    assert sign_in(app)[1].headers["Location"] == "/"
    provider.user["email"] = "camille.married@brevaux.fr"
    client, answer = sign_in(app)
    assert answer.headers["Location"] == "/"
    assert "camille.faure@brevaux.fr" in client.get("/account").text
    provider.user |= {"sub": "sub-2", "email": "camille.faure@brevaux.fr"}  # another way in, the same person
    assert "camille.faure@brevaux.fr" in sign_in(app)[0].get("/account").text


def test_an_unknown_organisation_waits(app: APIFlask, camille: Person, provider: OpenIDServer) -> None:
    provider.user |= {"sub": "new", "email": "new@elsewhere.fr", "siret": FOREIGN}
    client, answer = sign_in(app)
    assert answer.headers["Location"] == "/"
    assert client.get("/").headers["Location"] == "/waiting"
    assert "35600000000048" in client.get("/waiting").text
    assert client.get("/catalogue").status_code == 403
    admin = invite(app, "Dominique Admin", None, ["dsi_admin"]).client()
    team = admin.get("/people").text
    assert "new@elsewhere.fr" in team
    assert "new@elsewhere.fr" not in camille.client().get("/people").text
    account_id = re.findall(r"/people/(\d+)", team)[0]
    form = {"csrf": csrf(admin), "member": "brevaux", "role-requester": "1"}
    assert admin.post(f"/people/{account_id}/roles", data=form).status_code == 302
    provider.user["siret"] = siret(0)
    assert sign_in(app)[0].get("/catalogue").status_code == 200


def test_an_unknown_person_with_an_address_that_nobody_can_type_is_told_so(
    app: APIFlask, camille: Person, provider: OpenIDServer
) -> None:
    provider.user |= {"sub": "new", "email": "zoé@elsewhere.fr", "siret": FOREIGN}
    answer = sign_in(app)[1]
    assert (answer.status_code, "accent" in answer.text) == (422, True)


def test_the_member_sees_who_waits_for_it(app: APIFlask, camille: Person, provider: OpenIDServer) -> None:
    provider.user |= {"sub": "new", "email": "new@brevaux.fr", "siret": siret(0)}
    assert sign_in(app)[0].get("/catalogue").status_code == 403, "a SIRET gives no role"
    assert "new@brevaux.fr" in camille.client().get("/people").text


def test_the_siret_of_another_member_gives_nothing(
    app: APIFlask, camille: Person, provider: OpenIDServer, owner: sa.Engine
) -> None:
    member(owner, "orgelune")
    provider.user["siret"] = siret(1)
    client, answer = sign_in(app)
    assert (answer.status_code, "autre organisme" in answer.text) == (403, True)
    assert client.get("/account").status_code == 302
    with territory_session(owner, "tests") as session:
        assert [place.slug for place in accounts.places(session, camille.account_id)] == ["brevaux"]
    provider.user["siret"] = "00000000000000"[:-1] + "1"
    assert sign_in(app)[1].status_code == 401


def test_a_closed_account_stays_closed(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    sign_in(app)
    with territory_session(owner, "tests") as session:
        session.execute(sa.text("UPDATE accounts SET state = 'closed', closed_at = now()"))
    assert sign_in(app)[1].status_code == 403


@pytest.mark.parametrize("cheat", ["nonce", "issuer", "audience", "expired", "none", "secret", "key", "subject"])
def test_a_cheating_answer_is_refused(app: APIFlask, camille: Person, provider: OpenIDServer, cheat: str) -> None:
    provider.cheat = cheat
    client, answer = sign_in(app)
    assert (answer.status_code, "n’a pas abouti" in answer.text) == (401, True)
    assert client.get("/account").status_code == 302


def test_unsigned_userinfo_is_refused_where_it_must_be_signed(
    app: APIFlask, camille: Person, provider: OpenIDServer
) -> None:
    provider.cheat = "unsigned"
    assert sign_in(app)[1].status_code == (401 if provider.kind == "proconnect" else 302)


def test_a_code_is_good_once_and_in_its_own_browser(app: APIFlask, camille: Person) -> None:
    client = app.test_client()
    back = at_provider(client)
    stolen = app.test_client()
    assert stolen.get(back).status_code == 401, "it did not begin in this browser"
    assert client.get(back.replace("state=", "state=x")).status_code == 401
    assert client.get(back).status_code == 401, "a wrong answer ends the sign-in"
    client = app.test_client()
    back = at_provider(client)
    cookie = client.get_cookie("clocher-door")
    assert cookie
    assert client.get(back).status_code == 302
    replayed = app.test_client()
    replayed.set_cookie("clocher-door", cookie.value)
    assert replayed.get(back).status_code == 401, "the provider takes its code once"


def test_an_unverified_address_links_nothing(app: APIFlask, camille: Person, provider: OpenIDServer) -> None:
    if provider.kind == "proconnect":  # it vouches for every professional address
        return
    provider.user["email_verified"] = False
    assert sign_in(app)[1].status_code == 403


def test_a_provider_that_is_down_is_said(app: APIFlask, settings: Settings) -> None:
    chosen = OpenIDProvider(
        name="down", label="Down", issuer="http://127.0.0.1:1", client_id="x", client_secret="x", timeout=2
    )
    made = create(settings.model_copy(update={"oidc_providers": (chosen,)}))
    assert made.test_client().get("/sign-in/with/down").status_code == 503
    assert made.test_client().get("/sign-in/with/nobody").status_code == 404
    made.extensions["engines"].dispose()
