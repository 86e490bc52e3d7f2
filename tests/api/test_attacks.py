"""What somebody with bad intentions tries at the door."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from api.app import create
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables import Flow
from tenants import failures, tokens
from tests.api.conftest import Caller
from tests.api.people import PASSWORD, Person, csrf, invite
from tests.api.test_identity_pages import mailed, post, sign_in, word
from tests.tenants.ordering import member, wish

pytestmark = pytest.mark.slow

SAVEPOINTS = ("SAVEPOINT", "ROLLBACK TO SAVEPOINT")


@pytest.fixture
def camille(app: APIFlask, owner: sa.Engine) -> Person:
    member(owner, "brevaux")
    return invite(app, "Camille Faure", "brevaux", ["requester", "approver"])


def test_csrf(brevaux: Caller, orgelune: Caller, owner: sa.Engine) -> None:
    """Another site's form, and one with the word of somebody else's session."""
    assert brevaux.person and orgelune.person
    flow_id = brevaux.place(wish()).json["flow_id"]
    client = brevaux.person.client()
    for data in ({}, {"csrf": "guess"}, {"csrf": csrf(orgelune.person.client())}):
        assert client.post(f"/flows/{flow_id}/cancel", data=data).status_code == 422
        assert client.post("/sign-out", data=data).status_code == 422
    with territory_session(owner, "tests") as session:
        assert session.get_one(Flow, flow_id).cancel_requested is False


def test_clickjacking(app: APIFlask, camille: Person) -> None:
    for path in ("/sign-in", "/account", "/people", "/nowhere"):
        assert "frame-ancestors 'none'" in camille.client().get(path).headers["Content-Security-Policy"]


def test_session_fixation(app: APIFlask, camille: Person) -> None:
    """An id that was planted in the browser, and the word of the form before, are worth nothing after the sign-in."""
    attacker = invite(app, "Alex Noir", "brevaux", ["requester"]).client()
    planted = attacker.get_cookie("clocher")
    assert planted
    client = app.test_client()
    for value in ("planted", planted.value):
        client.set_cookie("clocher", value)
    form = {"csrf": csrf(client), "email": camille.email, "password": PASSWORD}
    assert client.post("/sign-in", data=form).status_code == 302
    fresh = client.get_cookie("clocher")
    assert fresh
    assert fresh.value != planted.value
    assert csrf(client) != form["csrf"]
    assert attacker.get("/account").status_code == 302, "the planted session has ended"


def test_a_sister_site_plants_no_cookie_over_https(app: APIFlask, camille: Person) -> None:
    client = app.test_client()
    page = client.get("/sign-in", base_url="https://localhost")
    assert page.headers["Set-Cookie"].startswith("__Host-clocher-door=")
    secret = camille.client().get_cookie("clocher")
    assert secret
    client.set_cookie("clocher", secret.value)  # as a sister site could, without the prefix
    assert client.get("/account", base_url="https://localhost").status_code == 302


def test_open_redirect(app: APIFlask, camille: Person) -> None:
    for wanted in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\tevil"):
        client = app.test_client()
        assert post(client, "/sign-in", email=camille.email, password=PASSWORD, next=wanted).headers["Location"] == "/"
    client = app.test_client()
    assert client.get("/catalogue?page=2").headers["Location"] == "/sign-in?next=/catalogue?page%3D2"
    form = {"email": camille.email, "password": PASSWORD, "next": "/catalogue?page=2"}
    assert post(client, "/sign-in", **form).headers["Location"] == "/catalogue?page=2"


def test_user_enumeration(app: APIFlask, camille: Person) -> None:
    """Known or not: the same words, the same status, the same lock, and the same work."""
    emails = (camille.email, "nobody@brevaux.fr")
    answers = [sign_in(app, email, "wrong but long enough")[1] for email in emails]
    said = [answer.text.replace(email, "") for answer, email in zip(answers, emails, strict=True)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert said[0].split("<main")[1].split("csrf")[0] == said[1].split("<main")[1].split("csrf")[0]
    for email in emails:
        statuses = [sign_in(app, email, "wrong but long enough")[1].status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 401, 429], email


def test_hashing_takes_as_long_for_nobody(app: APIFlask) -> None:
    hasher = app.extensions["hasher"]
    kept = hasher.hash(PASSWORD)

    def spent(judge: Callable[[], bool]) -> float:
        begun = time.process_time()
        assert judge() is False
        return time.process_time() - begun

    known = statistics.median(spent(lambda: hasher.matches(kept, "wrong")) for _ in range(30))
    unknown = statistics.median(spent(lambda: hasher.matches(None, "wrong")) for _ in range(30))
    assert 0.3 < known / unknown < 3


def test_who_is_known_makes_no_more_work(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    """Neither a wrong password nor a forgotten one: the same statements, so the same time."""
    said: list[str] = []
    client = app.test_client()
    more = {"csrf": word(client, "/sign-in"), "password": "wrong but long enough"}
    engine = app.extensions["engines"].door
    sa.event.listen(engine, "before_cursor_execute", lambda *told: said.append(told[2].split(" VALUES")[0]))

    def statements(path: str, email: str) -> list[str]:
        said.clear()
        client.post(path, data={**more, "email": email})
        return [statement for statement in said if not statement.startswith(("INSERT INTO accounts", *SAVEPOINTS))]

    for path in ("/sign-in", "/forgotten"):
        statements(path, "first@brevaux.fr")  # what happens once in an app's life
        known, unknown = statements(path, camille.email), statements(path, "nobody@brevaux.fr")
        assert len(known) > 3
        assert Counter(known) <= Counter(unknown)
        assert len(unknown) <= len(known) + 1, "the undone work looks again who asks"
    with owner.connect() as connection:
        assert connection.execute(sa.text("SELECT email FROM accounts")).scalars().all() == [camille.email]
        assert connection.scalar(sa.text("SELECT count(*) FROM mails WHERE template = 'reset'")) == 1


def test_brute_force(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    """Guesses in turn and at once; the right password does not help while the lock lasts."""

    def guess(number: int) -> int:
        return sign_in(app, camille.email, f"a wrong guess {number}")[1].status_code

    with ThreadPoolExecutor(4) as at_once:
        statuses = list(at_once.map(guess, range(12)))
    assert statuses.count(401) == 5
    assert statuses.count(429) == 7
    answer = sign_in(app, camille.email)[1]
    assert (answer.status_code, "Trop d’essais" in answer.text) == (429, True)
    with territory_session(owner, "tests") as session:
        session.execute(sa.text("UPDATE failures SET locked_until = now() - interval '1 second'"))
    assert guess(0) == 401
    assert guess(1) == 429, "each failure after that waits again"
    post(app.test_client(), "/forgotten", email=camille.email)
    client = app.test_client()
    link = mailed(owner, "reset")["path"]
    assert post(client, link, password="cinq hiboux verts chantent").headers["Location"] == "/", (
        "the owner has a way in"
    )


def test_brute_force_of_one_address_in_many_writings(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    """A domain in wide letters, with soft hyphens or another full stop is the same domain: so are the guesses."""
    name, domain = camille.email.split("@")
    writings = [
        domain,
        domain.replace("b", "ｂ"),
        domain.replace("a", "\u00ada"),
        domain.replace(".", "。"),
        "ＢＲＥＶＡＵＸ.fr",
    ]
    emails = [f"{name}@{writing}" for writing in writings]
    assert [sign_in(app, email, "a wrong guess")[1].status_code for email in emails] == [401] * 5
    assert sign_in(app, f"{name}@brev\u00ad\u00adaux.fr")[1].status_code == 429
    for email in emails:
        post(app.test_client(), "/forgotten", email=email)
    with owner.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM mails WHERE template = 'reset'")) == 3


def test_one_client_that_tries_everybody(app: APIFlask) -> None:
    statuses = [sign_in(app, f"agent{number}@brevaux.fr", "Printemps2026!")[1].status_code for number in range(32)]
    assert statuses[:29] == [401] * 29
    assert statuses[-1] == 429


def test_one_client_has_many_addresses(app: APIFlask) -> None:
    def guess(number: int) -> int:
        client = app.test_client()
        form = {"csrf": word(client, "/sign-in"), "email": f"agent{number}@brevaux.fr", "password": "Printemps2026!"}
        return client.post("/sign-in", data=form, environ_base={"REMOTE_ADDR": f"2001:db8:1:2::{number:x}"}).status_code

    assert [guess(number) for number in range(31)] == [401] * 30 + [429]
    assert failures.of_address("::ffff:192.0.2.1") != failures.of_address("::ffff:192.0.2.2")


def test_mass_assignment(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    """Fields that a form does not have: an approver's invitation makes no administrator, and none elsewhere."""
    orgelune = member(owner, "orgelune")
    client = camille.client()
    more = {
        "role-requester": "1", "role-dsi_admin": "1", "role": "dsi_admin", "member": "orgelune",
        "member_id": str(orgelune), "state": "active", "account_id": "1", "granted_by": "nobody",
    }  # fmt: skip
    form = {"csrf": csrf(client), "name": "Sacha", "email": "sacha@brevaux.fr", "language": "fr", **more}
    assert client.post("/people", data=form).status_code == 302
    client.post("/account", data={"csrf": csrf(client), "name": "C", "language": "fr", "email": "x@y.fr", **more})
    client.post(f"/people/{camille.account_id}/roles", data={"csrf": csrf(client), "role-requester": "1", **more})
    with owner.connect() as connection:
        query = (
            "SELECT a.email, a.state, r.role, m.slug FROM accounts a JOIN account_roles r ON r.account_id = a.id"
            " LEFT JOIN members m ON m.id = r.member_id ORDER BY a.id, r.role"
        )
        held = connection.execute(sa.text(query)).all()
    assert [tuple(row) for row in held] == [
        ("camille.faure@brevaux.fr", "active", "requester", "brevaux"),
        ("sacha@brevaux.fr", "invited", "requester", "brevaux"),
    ]


def test_an_invitation_takes_no_account_over(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    """Who invites somebody that another house knows gets no link that would set that person's password."""
    member(owner, "orgelune")
    approver = invite(app, "Noor Valideuse", "orgelune", ["approver"]).client()
    waiting = {"csrf": csrf(approver), "name": "Sacha", "language": "fr", "role-requester": "1"}
    first = {**waiting, "csrf": csrf(client := camille.client()), "email": "sacha@brevaux.fr"}
    client.post("/people", data=first)
    assert mailed(owner, "invitation")["choose"] is True
    for email in ("sacha@brevaux.fr", camille.email):
        assert approver.post("/people", data={**waiting, "email": email}).status_code == 302
        assert mailed(owner, "invitation")["choose"] is False


def test_a_leaked_token_is_recognised(app: APIFlask, camille: Person) -> None:
    secret = camille.token()
    assert tokens.looks_real(secret)
    for other in (secret[:-1] + "x", secret.replace("clo_", "ghp_"), "clo_", "clo_é", ""):
        assert not tokens.looks_real(other)


def test_an_idle_session_ends_though_its_page_polls(app: APIFlask, camille: Person, owner: sa.Engine) -> None:
    client = camille.client()
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE sessions SET seen_at = now() - interval '50 minutes'"))
    assert client.get("/?part=live").status_code == 200
    with owner.begin() as connection:
        assert connection.execute(sa.text("SELECT now() - seen_at > '49 minutes' FROM sessions")).scalar_one()
        connection.execute(sa.text("UPDATE sessions SET seen_at = now() - interval '61 minutes'"))
    polled = client.get("/?part=live", headers={"HX-Request": "true"})
    assert (polled.headers["HX-Redirect"], polled.text) == ("/sign-in", "")
    client = camille.client()
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE sessions SET expires_at = now()"))
    assert client.get("/account").status_code == 302


def test_only_a_trusted_proxy_may_say_who_asks(settings: Settings, owner: sa.Engine) -> None:
    for trusted, prefix in ((0, "clocher-door="), (1, "__Host-clocher-door=")):
        app = create(settings.model_copy(update={"trusted_proxies": trusted}))
        told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        assert app.test_client().get("/sign-in", headers=told).headers["Set-Cookie"].startswith(prefix)
        app.extensions["engines"].dispose()


STRAY = dict.fromkeys(
    (
        "endpoint", "_scheme", "_external", "_anchor", "_method", "values", "kind", "after", "page", "rows", "month",
        "member", "state", "days", "since", "until", "text", "part",
    ),
    "x%_",
)  # fmt: skip


def test_stray_words_in_an_address_break_no_page(dsi: Caller, brevaux: Caller) -> None:
    """Each page that has an address of its own, with words that mean something to what makes our links."""
    for caller in (dsi, brevaux):
        assert caller.person
        client, asked = caller.person.client(), 0
        for rule in caller.app.url_map.iter_rules():
            if "GET" in (rule.methods or ()) and not rule.arguments and not rule.rule.startswith(("/api/", "/healthz")):
                with client.get(rule.rule, query_string=STRAY) as answer:
                    assert answer.status_code < 500, rule.rule
                    asked += answer.status_code == 200
        assert asked > 10
