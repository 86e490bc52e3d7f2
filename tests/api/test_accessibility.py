"""Every page and state, in both languages, on a desk and on a phone: axe finds nothing, nothing overflows, and the
English page holds no French. What axe can't find needs a human: this proves no conformity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask import Flask
from playwright.sync_api import Browser
from werkzeug.routing import IntegerConverter, Rule

from api import access, language
from api.forms import Form
from api.translations import read
from tenants import roles
from tenants.tables_identity import MEMBER_ROLES, TERRITORY_ROLES
from tests.api.browsing import WIDTHS, Visitor
from tests.api.owned import IDS, World, word
from tests.api.people import Person, invite
from tests.api.screen import MEMBER, NOBODY, TERRITORY, Screen
from tests.api.screens import ERRORS, SCREENS
from tests.tenants.ordering import member, seed

pytestmark = pytest.mark.browser
GALLERY = Path(__file__).with_name("gallery.html")
WORD = re.compile(r"[^\W\d_]+(?:[’'][^\W\d_]+)?")
ACCENTED = re.compile(r"[àâçéèêëîïôùûüœ]", re.IGNORECASE)
# Endpoints that answer GET with no page of ours: files, and what leads elsewhere at once.
NO_PAGES = {"look.theme", "look.logo", "static"}


@pytest.fixture
def world(app: APIFlask, owner: sa.Engine) -> World:
    seed(owner)
    return World(app, owner, {slug: member(owner, slug) for slug in ("brevaux", "orgelune")})


@pytest.fixture
def people(world: World) -> dict[str, Person | None]:
    return {
        NOBODY: None,
        MEMBER: invite(world.app, "Camille Brevaux", "brevaux", MEMBER_ROLES),
        TERRITORY: invite(world.app, "Dominique Territoire", None, TERRITORY_ROLES),
    }


@pytest.fixture(params=["fr", "en"])
def visitors(
    request: pytest.FixtureRequest, browser: Browser, portal: str, people: dict[str, Person | None]
) -> Iterator[dict[str, Visitor]]:
    """A browser for each of the people, in one language."""
    made = {who: Visitor(browser, portal, person, request.param) for who, person in people.items()}
    yield made
    for visitor in made.values():
        visitor.close()


def judge(visitor: Visitor, name: str, screen: Screen | None = None) -> list[str]:
    """What is wrong with the page that is open, at each width."""
    faults = []
    if screen and screen.act:
        screen.act(visitor.page)
    for width in WIDTHS:
        faults += [f"{name} {visitor.language} {width}: {fault}" for fault in visitor.look(width)]
    if visitor.page.locator("html").get_attribute("lang") != visitor.language:
        faults.append(f"{name}: not in {visitor.language}")
    if visitor.language == "en":
        faults += [f"{name}: French: {left}" for left in french(visitor)]
    faults += [f"{name}: console: {said}" for said in visitor.complaints]
    visitor.complaints.clear()
    return faults


def french(visitor: Visitor) -> list[str]:
    """French sentences and words of ours on the page; what people typed and names are not ours."""
    text = visitor.page.evaluate(
        "() => { const body = document.body.cloneNode(true);"
        " body.querySelectorAll('[lang=fr], code, pre, textarea, script').forEach(e => e.remove());"
        " return body.innerText; }"
    )
    sentences, words = vocabulary()
    return [s for s in sentences if s in text] + sorted(set(WORD.findall(text.lower())) & words)


def vocabulary() -> tuple[list[str], set[str]]:
    """Our French sentences that English has another one for, and our French words with accents that English lacks."""
    said: list[str] = []
    ours: set[str] = set()
    theirs: set[str] = set()
    for message in read("en"):
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
        said += [i for i in ids if len(i) > 14 and "{" not in i and "%" not in i and i not in strings]
        ours |= {w for i in ids for w in WORD.findall(i.lower()) if ACCENTED.search(w)}
        theirs |= {w for s in strings for w in WORD.findall(s.lower())}
    return said, ours - theirs


def test_every_macro(app: APIFlask, browser: Browser, portal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(access.RULES, "gallery", access.PUBLIC)
    app.jinja_env.filters.update(
        money=lambda value: language.amount(Decimal(str(value))), decimal=lambda v: Decimal(str(v))
    )
    app.add_url_rule("/gallery", "gallery", lambda: app.jinja_env.from_string(GALLERY.read_text()).render(**samples()))
    visitor = Visitor(browser, portal)
    visitor.open("/gallery")
    faults = [fault for width in WIDTHS for fault in visitor.look(width) if fault != "2 h1"]  # the box that confirms
    link = visitor.page.get_by_role("link", name="Nom : Pas ainsi.")
    link.click()
    assert visitor.page.evaluate("document.activeElement.id") == "field-name"
    visitor.close()
    assert faults + visitor.complaints == []


def samples() -> dict[str, object]:
    """What the gallery shows."""
    now = datetime.now(UTC)
    step = {"started_at": now, "ended_at": now, "attempts": 2, "message": "Non."}
    steps = [SimpleNamespace(name="port", state=state, **step) for state in ("done", "failed", "running", "undone")]
    points = [(f"{day:02}/11", Decimal(day % 7), f"{day % 7} €") for day in range(1, 24)]
    wrong = Form({"name": "Web", "size": "m"}, {"name": "Pas ainsi.", "disk_gib": "Un nombre de 0 à 500."})
    return {"form": Form(), "wrong": wrong, "steps": steps, "points": points, "now": now}


def test_every_state(world: World, visitors: dict[str, Visitor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(access.RULES, "errors", access.PUBLIC)
    world.app.add_url_rule("/errors/<int:status>", "errors", world.app.doc(hide=True)(fail))
    faults = []
    for screen in SCREENS:
        path = (screen.prepare(world) if screen.prepare else None) or screen.path
        visitors[screen.who].open(path)
        faults += judge(visitors[screen.who], screen.name, screen)
    assert not faults, "\n".join(faults)


def fail(status: int) -> None:
    """A page that can only refuse."""
    raise ERRORS[status]


fail._spec = {"hide": True}  # type: ignore[attr-defined]  # it is no part of the API that the reference describes


def test_every_page(world: World, people: dict[str, Person | None], visitors: dict[str, Visitor]) -> None:
    faults = []
    for rule, who in pages(world.app):
        path = address(world, rule, people[who])
        answer = visitors[who].page.request.get(f"{visitors[who].portal}{path}", max_redirects=0)
        if answer.status == 200 and answer.headers.get("content-type", "").startswith("text/html"):
            visitors[who].open(path)
            faults += judge(visitors[who], f"{rule.rule} ({who})")
        elif answer.status >= 500:
            faults.append(f"{rule.rule} ({who}): {answer.status}")
    assert not faults, "\n".join(faults)


def pages(app: Flask) -> list[tuple[Rule, str]]:
    """Each route that may answer with a page, and who looks at it."""
    found = []
    for rule in app.url_map.iter_rules():
        act = access.RULES[rule.endpoint]
        if "GET" not in (rule.methods or ()) or rule.rule.startswith("/api/v1") or rule.endpoint in NO_PAGES:
            continue
        if act == access.OPEN:
            continue
        if act == access.PUBLIC:
            found.append((rule, NOBODY))
        elif act == access.SIGNED_IN or set(MEMBER_ROLES) & roles.acts()[act].roles:
            found.append((rule, MEMBER))
        if act not in (access.PUBLIC, access.SIGNED_IN) and set(TERRITORY_ROLES) & roles.acts()[act].roles:
            found.append((rule, TERRITORY))
    return found


def address(world: World, rule: Rule, person: Person | None) -> str:
    names = rule.arguments - (rule.defaults or {}).keys()
    ids = {name: IDS[name](world, "brevaux", person) for name in names & IDS.keys()}
    numbers = {name: 1 for name in names if isinstance(rule._converters[name], IntegerConverter)}
    others = dict.fromkeys(names, word(rule)) | numbers
    return world.app.url_map.bind("localhost").build(rule.endpoint, {**others, **ids})
