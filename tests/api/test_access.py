"""Every route, for every role, for one's own, another member's and nothing: one table says what must come back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask import Flask
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from api import access
from orchestrator import entry
from orchestrator.database import territory_session
from tenants import roles
from tenants.tables_identity import MEMBER_ROLES, TERRITORY_ROLES
from tests.api.owned import IDS, NOTHING, NUMBERS, PERSONAL, SENT, World, word
from tests.api.people import Person, csrf, invite
from tests.api.screens_portal import running
from tests.tenants.ordering import member, seed

NOBODY, ROLELESS = "nobody", "roleless"
ROLES = (NOBODY, ROLELESS, *roles.ROLES)
WHOSE = ("own", "other", "nothing")
# Where the sign-in form is what must come.
LEAVING = {"signing_in.leave", "signing_in.code_form", "signing_in.code", "link_pages.forgotten"}


@dataclass(frozen=True)
class Try:
    """One request: a route and method, by somebody with one role (or none), on whose row."""

    rule: Rule
    method: str
    role: str
    whose: str

    @property
    def is_api(self) -> bool:
        return self.rule.rule.startswith("/api/")

    def __str__(self) -> str:
        return f"{self.method} {self.rule.rule} by {self.role} on {self.whose}"


@pytest.fixture
def world(app: APIFlask, owner: sa.Engine) -> World:
    seed(owner)
    made = World(app, owner, {slug: member(owner, slug) for slug in ("brevaux", "orgelune")})
    with territory_session(owner, "tests") as session:  # whose authority everybody may have
        entry.keep(session, running(session, made.members["orgelune"]), "valmont.test", "PEM", [])
    return made


@pytest.fixture
def people(world: World) -> dict[str, Person]:
    """Somebody with each role, and somebody whose only role was taken away."""
    made = {
        role: invite(world.app, f"Alex {role}", "brevaux" if role in MEMBER_ROLES else None, [role])
        for role in roles.ROLES
    }
    left = invite(world.app, "Alex Parti", None, ["auditor"])
    with territory_session(world.owner, "tests") as session:
        session.execute(sa.text("DELETE FROM account_roles WHERE account_id = :id"), {"id": left.account_id})
    return {**made, ROLELESS: left}


def tries(app: Flask) -> list[Try]:
    return [
        Try(rule, method, role, whose)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        for role in ROLES
        for whose in (WHOSE if rule.arguments & IDS.keys() and may_ask(rule, role) else ("own",))
    ]


def may_ask(rule: Rule, role: str) -> bool:
    """Whether the role may do what the route does; one that may not is refused before anything is looked for."""
    act = access.RULES[rule.endpoint]
    if act in (access.OPEN, access.PUBLIC):
        return True
    return role != NOBODY and (act == access.SIGNED_IN or role in roles.acts()[act].roles)


def ask(world: World, people: dict[str, Person], one: Try) -> TestResponse:
    person = people.get(one.role)
    sent: dict[str, Any] = {**SENT.get(one.rule.endpoint, {})}
    client = world.app.test_client()
    if person and one.is_api:
        sent = {**examples(world.app).get(one.rule.endpoint, {}), **sent}
        key = {"Idempotency-Key": f"key {next(NUMBERS)}"} if one.method == "POST" else {}
        sent["headers"] = {"Authorization": f"Bearer {world.token(person)}", **key, **sent.get("headers", {})}
    elif person:
        # What is posted may end the session: then each request has one of its own.
        client = person.client() if one.method != "GET" else world.browser(person)
        if one.method != "GET":
            sent["data"] = {"csrf": csrf(client), **sent.get("data", {})}
    elif not one.is_api and one.method != "GET":
        with client.session_transaction() as kept:
            kept["csrf"] = "word"
        sent["data"] = {"csrf": "word", **sent.get("data", {})}
    return client.open(path(world, one, person), method=one.method, buffered=True, **sent)


@cache
def examples(app: APIFlask) -> dict[str, dict[str, Any]]:
    """By view of the API, the body that its documentation gives as an example."""
    operations = [one for methods in app.spec["paths"].values() for one in methods.values() if "requestBody" in one]
    bodies = {one["operationId"]: next(iter(one["requestBody"]["content"].values())) for one in operations}
    views = [name for name in app.view_functions if name.replace(".", "_") in bodies]
    return {name: {"json": bodies[name.replace(".", "_")]["example"]} for name in views}


def path(world: World, one: Try, person: Person | None) -> str:
    slug = "orgelune" if one.whose == "other" else "brevaux"
    names = one.rule.arguments - (one.rule.defaults or {}).keys()
    ids = {name: NOTHING if one.whose == "nothing" else IDS[name](world, slug, person) for name in names & IDS.keys()}
    words = dict.fromkeys(names, word(one.rule))
    return world.app.url_map.bind("localhost").build(one.rule.endpoint, {**words, **ids})


def fault(one: Try, answer: TestResponse) -> str | None:
    """What is wrong with an answer; None when it is as the table wants it."""
    status, act = answer.status_code, access.RULES[one.rule.endpoint]
    if status >= 500 and status != 503:
        return f"{status}"
    if act in (access.OPEN, access.PUBLIC):
        refused = status == 403 or (status == 302 and turned_away(answer) and one.rule.endpoint not in LEAVING)
        return f"{status}, but it is for everybody" if refused else None
    if one.role == NOBODY:
        return None if turned_away(answer) else f"{status} instead of the door"
    if one.role == ROLELESS and one.rule.rule == "/":
        return None if answer.headers.get("Location") == "/waiting" else f"{status} instead of the page that says why"
    if act != access.SIGNED_IN and one.role not in roles.acts()[act].roles:
        return None if status == 403 and "role_missing" in answer.text else f"{status} instead of 403 role_missing"
    personal = one.rule.endpoint in PERSONAL
    if one.rule.endpoint == "signing_in.act_for" and one.role not in TERRITORY_ROLES:
        return None if status == 404 else f"{status}, but the territory is no house of theirs"
    foreign = one.whose == "other" and (personal or one.role in MEMBER_ROLES or one.role == ROLELESS)
    if foreign or one.whose == "nothing":
        return None if status == 404 else f"{status} instead of 404"
    allowed = status < 400 or status in (400, 403, 409, 422, 503)
    leaves = one.rule.endpoint in LEAVING or not turned_away(answer)
    return None if allowed and b"role_missing" not in answer.data and leaves else f"{status}"


def turned_away(answer: TestResponse) -> bool:
    """To the sign-in form, or for want of a token."""
    return answer.headers.get("Location", "").startswith("/sign-in") or answer.status_code == 401


@pytest.mark.slow
def test_every_route_for_every_role(world: World, people: dict[str, Person]) -> None:
    found = [f"{one}: {wrong}" for one in tries(world.app) if (wrong := fault(one, ask(world, people, one)))]
    assert not found, "\n".join(found)


def test_a_route_without_a_rule_is_refused(app: APIFlask) -> None:
    bare = Flask("bare")
    bare.add_url_rule("/new", "new.page", lambda: "")
    with pytest.raises(RuntimeError, match=r"new\.page"):
        access.check(bare)


def test_every_rule_has_a_route(app: APIFlask) -> None:
    served = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert access.RULES.keys() - served == set()


def test_numbers_in_routes_are_known(app: APIFlask) -> None:
    names = {
        name: rule
        for rule in app.url_map.iter_rules()
        for name, converter in rule._converters.items()
        if type(converter).__name__ == "IntegerConverter"
    }
    assert names.keys() - IDS.keys() == set(), "add them to tests/api/owned.py"


def test_the_auditor_changes_nothing() -> None:
    acts = {name for name, act in roles.acts().items() if "auditor" in act.roles and act.scope != "read"}
    assert acts == {"account.own", "token.own"}
