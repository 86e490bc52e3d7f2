"""What every call of the API has around it: keys, validators, pages, limits, forms, documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from api.app import create
from orchestrator.settings import Settings
from tests.api.conftest import Caller, Run, told
from tests.api.people import PASSWORD
from tests.api.test_api import problem
from tests.tenants.ordering import wish

pytestmark = pytest.mark.slow

KEY = {"Idempotency-Key": "one"}
TOKEN = {"label": "sauvegarde", "scopes": ["read"]}


def test_the_same_key_is_the_same_answer(brevaux: Caller, orgelune: Caller, owner: sa.Engine) -> None:
    made = brevaux("POST", "/tokens", json=TOKEN, headers=KEY)
    again = brevaux("POST", "/tokens", json=dict(reversed(TOKEN.items())), headers=KEY)
    assert (again.status_code, again.json) == (made.status_code, made.json) == (201, made.json)
    assert (made.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    problem(brevaux("POST", "/tokens", json={**TOKEN, "label": "other"}, headers=KEY), 409, "request_key_reused")
    problem(brevaux("POST", "/tokens", json=TOKEN, headers={"Idempotency-Key": "x" * 201}), 422, "invalid_request_key")
    assert orgelune("POST", "/tokens", json=TOKEN, headers=KEY).json["secret"] != made.json["secret"]
    with owner.connect() as connection:
        kept = connection.execute(sa.text("SELECT answer FROM request_answers")).scalars().all()
    assert len(kept) == 2
    assert all(made.json["secret"].encode() not in answer for answer in kept)


def test_a_narrower_token_reads_no_wider_ones_secret(brevaux: Caller) -> None:
    assert brevaux.person
    wide = {"label": "large", "scopes": ["order", "read"]}
    assert brevaux("POST", "/tokens", json=wide, headers=KEY).status_code == 201
    narrow = Caller(brevaux.app, brevaux.person.token(["admin"]))
    problem(narrow("POST", "/tokens", json=wide, headers=KEY), 422, "invalid_scope")


def test_a_token_and_the_answer_that_holds_its_secret_are_one(brevaux: Caller, owner: sa.Engine) -> None:
    """Where the answer can't be kept there is no token either, whose secret nobody would know."""
    count = sa.text("SELECT count(*) FROM tokens")
    with owner.begin() as connection:
        before = connection.scalar(count)
        connection.execute(sa.text("ALTER TABLE request_answers ADD CHECK (status = 0)"))
    assert brevaux("POST", "/tokens", json=TOKEN, headers=KEY).status_code == 500
    with owner.connect() as connection:
        assert connection.scalar(count) == before


def test_ones_own_account(brevaux: Caller, app: APIFlask, owner: sa.Engine) -> None:
    shown = brevaux("GET", "/me/account").json
    assert brevaux.person and shown["email"] == brevaux.person.email
    assert (shown["second_factor"], {role["member"] for role in shown["roles"]}) == (False, {"brevaux"})
    changed = brevaux("PUT", "/me/account", json={"name": "Camille", "language": "en"})
    assert (changed.status_code, changed.json["name"], changed.json["language"]) == (200, "Camille", "en")
    problem(brevaux("PUT", "/me/account", json={"name": "Camille", "language": "xx"}), 422, "invalid_request")
    assert brevaux("GET", "/me/notices").json == {"choice": "mine"}
    assert brevaux("PUT", "/me/notices", json={"choice": "none"}).json == {"choice": "none"}
    assert brevaux("GET", "/me/notices").json == {"choice": "none"}
    narrow = brevaux("POST", "/tokens", json={**TOKEN, "scopes": ["read"]}).json["secret"]
    reader = Caller(app, narrow)
    assert reader("GET", "/me/account").json["name"] == "Camille"
    problem(reader("PUT", "/me/notices", json={"choice": "all"}), 403, "role_missing")


def test_ones_own_password(brevaux: Caller, owner: sa.Engine) -> None:
    assert brevaux.person
    browser = brevaux.person.client()
    wanted = {"present": "wrong", "wanted": "huit tortues rouges nagent"}
    problem(brevaux("PUT", "/me/password", json=wanted), 422, "wrong_password")
    wanted["present"] = PASSWORD
    problem(brevaux("PUT", "/me/password", json={**wanted, "wanted": "court"}), 422, "weak_password")
    assert brevaux("PUT", "/me/password", json=wanted).status_code == 204
    assert browser.get("/account").status_code == 302, "its sessions have ended"
    assert brevaux("GET", "/me").status_code == 200, "its tokens have not"


def test_a_machine_has_no_account(settings: Settings, app: APIFlask, run: Run, brevaux: Caller) -> None:
    secret = told(run("tokens", "make", "--label", "robot", "--member", "brevaux", "--scope", "admin",
                      "--scope", "read", "--json"))["secret"]  # fmt: skip
    problem(Caller(app, secret)("GET", "/me/account"), 422, "no_account")


def test_a_console_is_asked_for_and_read(brevaux: Caller, orgelune: Caller, owner: sa.Engine) -> None:
    brevaux.place(wish())
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE services SET state = 'active'"))
    assert brevaux("GET", "/services/1/console").json == {"console": None}
    asked = brevaux("POST", "/services/1/console")
    assert (asked.status_code, asked.json["state"], asked.json["log"]) == (202, "waiting", None)
    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE console_readings SET state = 'ready', read_at = now(), log = 'login:'"))
    assert brevaux("GET", "/services/1/console").json["console"]["log"] == "login:"
    for method in ("GET", "POST"):
        problem(orgelune(method, "/services/1/console"), 404, "not_found")


def test_a_webhook_rests_and_wakes(brevaux: Caller) -> None:
    made = brevaux("POST", "/webhooks", json={"label": "x", "url": "https://example.org/hook"}).json
    path = f"/webhooks/{made['id']}"
    assert brevaux("POST", f"{path}/disable").json["state"] == "disabled"
    problem(brevaux("POST", f"{path}/test"), 409, "endpoint_disabled")
    assert brevaux("POST", f"{path}/enable").json["state"] == "active"


def test_the_trail_is_a_file(brevaux: Caller, dsi: Caller) -> None:
    brevaux.place(wish())
    found = dsi("GET", "/audit.csv?action=order.place")
    assert (found.status_code, found.mimetype) == (200, "text/csv")
    assert found.text.startswith("\ufeff") and found.text.count("order.place") == 1
    lines = dsi("GET", "/audit.jsonl").text.splitlines()
    assert len(lines) == len(dsi("GET", "/audit?limit=200").json["items"]) > 1
    problem(dsi("GET", "/audit.xml"), 404, "not_found")
    problem(brevaux("GET", "/audit.csv"), 403, "role_missing")


def test_a_refusal_is_not_remembered(brevaux: Caller) -> None:
    problem(brevaux("POST", "/tokens", json={**TOKEN, "days": 900}, headers=KEY), 422, "invalid_request")
    assert brevaux("POST", "/tokens", json=TOKEN, headers=KEY).status_code == 201


def test_a_change_wants_what_was_read(brevaux: Caller) -> None:
    order = brevaux.place(wish(), "vm-xlarge").json
    path = f"/orders/{order['id']}"
    read = brevaux("GET", path)
    tag = read.headers["ETag"]
    fresh = brevaux("GET", path, headers={"If-None-Match": tag})
    assert (fresh.status_code, fresh.data, fresh.headers["ETag"]) == (304, b"", tag)
    stale = problem(brevaux("POST", f"{path}/cancel", headers={"If-Match": '"x"'}), 412, "stale")
    assert stale["action"]
    for unreadable in ("", '"', f"W/{tag}"):
        problem(brevaux("POST", f"{path}/cancel", headers={"If-Match": unreadable}), 412, "stale")
    assert brevaux("GET", path).json["state"] == "waiting"
    assert brevaux("POST", f"{path}/cancel", headers={"If-Match": tag}).json["state"] == "cancelled"
    problem(brevaux("POST", f"{path}/cancel", headers={"If-Match": tag}), 412, "stale")
    problem(brevaux("POST", "/orders/999/cancel", headers={"If-Match": tag}), 404, "not_found")


def test_a_missing_key_is_said_before_a_stale_state(brevaux: Caller) -> None:
    service = brevaux.place(wish("web")).json["service_id"]
    path, stale = f"/services/{service}/changes", {"If-Match": '"x"'}
    problem(brevaux("POST", path, json={"disk_gib": 9}, headers=stale), 422, "invalid_request")
    problem(brevaux("POST", path, json={"disk_gib": 9}, headers=stale | {"Idempotency-Key": "k"}), 412, "stale")


def test_lists_lead_to_the_next_page(brevaux: Caller, dsi: Caller) -> None:
    for number in range(3):
        brevaux.place(wish(f"web-{number}"), key=str(number))
    first = brevaux("GET", "/orders?limit=2&state=approved")
    assert first.headers["Link"] == f'</api/v1/orders?limit=2&state=approved&after={first.json["next"]}>; rel="next"'
    last = brevaux("GET", first.headers["Link"].split(">")[0].removeprefix("</api/v1"))
    assert (len(last.json["items"]), last.json["next"], last.headers.get("Link")) == (1, None, None)
    assert [row["slug"] for row in dsi("GET", "/members?limit=1").json["items"]] == ["brevaux"]
    slugs = [row["slug"] for row in brevaux("GET", "/catalogue").json["items"]]
    assert [r["slug"] for r in brevaux("GET", f"/catalogue?after={slugs[0]}&limit=1").json["items"]] == [slugs[1]]
    problem(brevaux("GET", "/orders?memeber=brevaux"), 422, "invalid_request")  # no filter that we know


@pytest.fixture
def narrow(settings: Settings) -> Iterator[APIFlask]:
    app = create(settings.model_copy(update={"api_requests_per_minute": 2, "api_changes_per_minute": 1}))
    yield app
    app.extensions["engines"].dispose()


def test_a_token_may_ask_so_often(brevaux: Caller, orgelune: Caller, narrow: APIFlask) -> None:
    for caller in (brevaux, orgelune):  # each its own count
        asking = Caller(narrow, caller.secret)
        answers = [asking("GET", "/me") for _ in range(4)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert answers[0].status_code == 200
        assert refused  # a minute may begin in between: then the third and the fourth are in it
        told = problem(refused[-1], 429, "too_many_requests")
        assert 0 < int(refused[-1].headers["Retry-After"]) == told["retry_after"] <= 60
        assert (refused[-1].headers["RateLimit-Limit"], refused[-1].headers["RateLimit-Remaining"]) == ("2", "0")


def test_another_spelling_of_the_header_is_the_same_token(brevaux: Caller, narrow: APIFlask) -> None:
    def statuses(headers: list[str]) -> list[int]:
        client = narrow.test_client()
        return [client.get("/api/v1/me", headers={"Authorization": one}).status_code for one in headers]

    kinds = ("Bearer", "bearer", "BEARER", "bEARER", "beAReR", "Bearer ", "BEARER  ")
    assert 429 in statuses([f"{kind} {brevaux.secret}" for kind in kinds])
    assert 429 in statuses([f"Bearer guess{number}" for number in range(7)]), "guesses are their client's"


@pytest.mark.parametrize(
    "body", ['{"label": "a", "label": "b", "scopes": ["read"]}', '{"label": "a", "scopes": ["read"], "days": NaN}']
)
def test_json_that_can_be_read_in_two_ways(brevaux: Caller, body: str) -> None:
    before = brevaux("GET", "/me/tokens").json
    for key in ({}, KEY):
        refused = brevaux("POST", "/tokens", data=body, content_type="application/json", headers=key)
        problem(refused, 400, "invalid_request")
    assert brevaux("GET", "/me/tokens").json["items"] == before["items"]


def test_nothing_said_is_an_empty_object(brevaux: Caller) -> None:
    for number, headers in enumerate(({}, KEY)):
        order = brevaux.place(wish(f"web-{number}"), "vm-xlarge", key=str(number)).json
        assert brevaux("POST", f"/orders/{order['id']}/cancel", headers=headers).json["state"] == "cancelled"


def test_forms_that_we_do_not_have(brevaux: Caller) -> None:
    problem(brevaux("GET", "/orders", headers={"Accept": "text/html"}), 406, "not_acceptable")
    assert brevaux("GET", "/orders", headers={"Accept": "text/html, */*;q=0.1"}).status_code == 200
    assert brevaux("GET", "/orders.csv", headers={"Accept": "text/csv"}).status_code == 200
    problem(brevaux("POST", "/tokens", data="label=x", content_type="text/plain"), 415, "invalid_request")
    refused = brevaux("PATCH", "/orders")
    problem(refused, 405, "method_not_allowed")
    assert "GET" in refused.headers["Allow"]
    fields = problem(brevaux("POST", "/tokens", json={"label": "", "scopes": ["all"]}), 422, "invalid_request")
    assert {fault["parameter"] for fault in fields["errors"]} == {"label", "scopes.0"}


def test_a_scope_narrows_a_role(brevaux: Caller) -> None:
    assert brevaux.person
    reading = Caller(brevaux.app, brevaux.person.token(["read"]))
    assert reading("GET", "/me").json["scopes"] == ["read"]
    assert "order.place" not in reading("GET", "/me").json["acts"]
    problem(reading.place(wish()), 403, "role_missing")
    admin = Caller(brevaux.app, brevaux.person.token(["admin"]))
    assert [row["label"] for row in admin("GET", "/me/tokens").json["items"]] == ["tests"] * 3
    problem(admin("POST", "/tokens", json=TOKEN), 422, "invalid_scope")  # no token makes one that may more


@pytest.mark.parametrize(
    "path",
    ["/orders", "/services", "/flows", "/members", "/people", "/tokens", "/audit", "/offers", "/catalogue", "/prices"],
)
def test_lists_cost_the_same_however_long(
    dsi: Caller, brevaux: Caller, callers: Callable[[str | None], Caller], path: str
) -> None:
    brevaux.place(wish("first"), key="0")
    before = _queries(dsi, path)
    for number in range(4):
        brevaux.place(wish(f"web-{number}"), key=str(number + 1))
    callers("orgelune")
    assert _queries(dsi, path) == before


def _queries(caller: Caller, path: str) -> int:
    count = 0

    def spy(*_: Any) -> None:
        nonlocal count
        count += 1

    engine = caller.app.extensions["engines"].staff
    sa.event.listen(engine, "before_cursor_execute", spy)
    assert caller("GET", path).status_code == 200
    sa.event.remove(engine, "before_cursor_execute", spy)
    return count


def test_the_documentation_has_every_operation(app: APIFlask) -> None:
    client = app.test_client()
    document = client.get("/api/v1/openapi.json").json
    index = client.get("/api/docs").text
    assert "script-src 'self'" in client.get("/api/docs").headers["Content-Security-Policy"]
    for methods in document["paths"].values():
        for operation in methods.values():
            tag = operation["tags"][0].lower()
            assert f'href="/api/docs/{tag}#{operation["operationId"]}"' in index
    for tag in {operation["tags"][0] for methods in document["paths"].values() for operation in methods.values()}:
        page = client.get(f"/api/docs/{tag.lower()}")
        assert page.status_code == 200
        assert "Authorization: Bearer $CLOCHER_TOKEN" in page.text
    schemas = client.get("/api/docs/schemas").text
    assert all(f'id="{name}"' in schemas for name in document["components"]["schemas"])
    assert client.get("/api/docs/nothing").status_code == 404
    assert "Documentation de l’API" in index
