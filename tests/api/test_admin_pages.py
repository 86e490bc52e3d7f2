"""The pages of the DSI and of finance: each opens in both languages, each act does what it says, refusals are shown."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from orchestrator.database import territory_session
from orchestrator.tables import AuditEntry, Flow
from tenants.tables import Offer, Order, Price
from tenants.tables_administration import Announcement, MemberChange
from tests.api.administered import LABEL, Administered, administer, pages
from tests.api.people import Person, csrf, invite
from tests.tenants.test_members_changes import _document

pytestmark = pytest.mark.slow


@pytest.fixture
def made(owner: sa.Engine) -> Administered:
    return administer(owner)


@pytest.fixture
def dsi(app: APIFlask, made: Administered) -> FlaskClient:
    return invite(app, "Hélène", None, ["dsi_admin", "territory_finance"]).client()


def send(client: FlaskClient, path: str, **data: str) -> TestResponse:
    return client.post(path, data={"csrf": csrf(client), **data})


def main(answer: TestResponse) -> str:
    return answer.text.split("<main", 1)[1]


def test_every_page_opens_in_both_languages(dsi: FlaskClient, made: Administered) -> None:
    faults = []
    for path in pages(made):
        for language in ("fr", "en"):
            answer = dsi.get(f"{path}{'&' if '?' in path else '?'}lang={language}")
            faults += [f"{path} {language}: {fault}" for fault in wrong(answer, language)]
    assert not faults, "\n".join(faults)


def wrong(answer: TestResponse, language: str) -> list[str]:
    """What is wrong with a page."""
    if answer.status_code != 200:
        return [f"{answer.status_code} {main(answer)[:300]}"]
    found = []
    if f'<html lang="{language}">' not in answer.text:
        found.append("language")
    if len(re.findall("<h1", answer.text)) != 1:
        found.append("one h1")
    if re.search(r"<script>|<style|style=|\son[a-z]+=", answer.text):
        found.append("inline")
    if "None" in re.sub(r"<[^>]+>", "", main(answer)):
        found.append("None")
    return found


def test_pages_without_anything_say_what_to_do_first(app: APIFlask) -> None:
    client = invite(app, "Hélène", None, ["dsi_admin", "territory_finance"]).client()
    for path in ("/admin/members", "/admin/capacity", "/admin/quotas", "/admin/workers", "/admin/orders",
                 "/admin/flows", "/admin/catalogue", "/admin/prices", "/admin/announcements", "/finance/periods",
                 "/finance/statements"):  # fmt: skip
        assert 'class="empty"' in client.get(path).text, path


def test_quotas_and_workers_are_in_the_menu(app: APIFlask) -> None:
    client = invite(app, "Hélène", None, ["dsi_admin"]).client()
    for path in ("/admin/capacity", "/admin/quotas", "/admin/workers"):
        page = client.get(path).text
        side = page[page.index('<nav class="side"') :].split("</nav>")[0]
        assert re.findall(r'href="([^"]+)" aria-current="page"', side) == [path]
        assert side.count("aria-current") == 1
        assert 'href="/admin/quotas"' in side and 'href="/admin/workers"' in side


def test_a_member_opens_none_of_them(app: APIFlask, made: Administered) -> None:
    agent: Person = invite(app, "Agent", "brevaux", ["requester", "approver", "finance"])
    client = agent.client()
    for path in pages(made):
        assert client.get(path).status_code == 403, path


def test_the_auditor_reads_and_is_offered_no_act(app: APIFlask, made: Administered) -> None:
    client = invite(app, "Audit", None, ["auditor"]).client()
    for path in ("/admin/members/brevaux", f"/admin/flows/{made.flow}", f"/admin/orders/{made.order}", "/admin/policy",
                 f"/finance/periods/{LABEL}", "/admin/prices"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert '<form method="post"' not in main(answer), path


def test_a_member_is_asked_for_and_confirmed(dsi: FlaskClient, made: Administered, owner: sa.Engine) -> None:
    document = _document()
    flat = {name: value for name, value in document.items() if isinstance(value, str)}
    flat |= {f"quotas.{name}": value for name, value in document["quotas"].items()}
    flat |= {f"contacts.0.{name}": value for name, value in document["contacts"][0].items()}
    flat |= {"slug": "noirepine", "budgets.2026": "1 200,50", "admin_networks": "192.0.2.0/28 198.51.100.0/24"}
    refused = send(dsi, "/admin/members/new", **{**flat, "siret": "12345678901234"})
    assert refused.status_code == 422
    assert 'id="error-siret"' in refused.text
    assert "1 200,50" in refused.text  # what was typed stays
    asked = send(dsi, "/admin/members/new", **flat)
    assert asked.status_code == 302
    with territory_session(owner, "test") as session:
        change = session.scalars(sa.select(MemberChange).order_by(MemberChange.id.desc())).first()
        assert change is not None
        assert (change.slug, change.state) == ("noirepine", "planning")
        assert change.declaration["budgets"] == {"2026": "1200.50"}
        assert change.declaration["admin_networks"] == ["192.0.2.0/28", "198.51.100.0/24"]
    live = dsi.get(f"{asked.location}?part=live").text
    assert "every 1s" in live
    assert send(dsi, f"/admin/members/changes/{made.change}/confirm").status_code == 302
    assert "applique le plan" in dsi.get(f"/admin/members/changes/{made.change}").text


def test_closing_says_what_lives(dsi: FlaskClient, made: Administered) -> None:
    assert "site-web" in dsi.get("/admin/members/brevaux/close").text
    assert send(dsi, "/admin/members/brevaux/close", confirm="x").status_code == 422
    refused = send(dsi, "/admin/members/brevaux/close", confirm="brevaux")
    assert refused.status_code == 409
    assert "archives, site-web" in refused.text


def test_files_are_downloaded(dsi: FlaskClient, made: Administered) -> None:
    for path, start in (
        ("/admin/members/export.csv", "\ufeffslug;name"),
        ("/admin/members/brevaux/export.yaml", "slug: brevaux"),
        ("/admin/members/brevaux/register.csv", "\ufeffResponsable"),
        ("/admin/orders/export.csv", "\ufeffid;placed_at"),
        ("/admin/prices/export.csv", "\ufeffCompteur"),
        ("/admin/audit/export.csv?action=service.", "\ufeffid;at;actor"),
        ("/admin/audit/export.jsonl", '{"id": '),
        (f"/finance/statements/export.csv?period={LABEL}", "\ufeffPériode"),
        (f"/finance/statements/export.json?period={LABEL}&member=brevaux", "["),
    ):
        answer = dsi.get(path)
        assert answer.status_code == 200, path
        assert answer.text.lstrip('"').startswith(start) or answer.text.startswith(f'\ufeff"{start[1:]}'), path
        assert "attachment" in answer.headers["Content-Disposition"]
    assert len(dsi.get("/admin/audit/export.csv?action=service.").text.splitlines()) == 61
    assert dsi.get("/admin/audit/export.exe").status_code == 422


def test_orders_are_decided(dsi: FlaskClient, made: Administered, owner: sa.Engine) -> None:
    path = f"/admin/orders/{made.order}"
    refused = send(dsi, f"{path}/reject", reason=" ")
    assert refused.status_code == 422
    assert 'id="error-reason"' in refused.text
    assert send(dsi, f"{path}/approve").status_code == 302
    with territory_session(owner, "test") as session:
        assert session.get_one(Order, made.order).state == "approved"
    assert send(dsi, f"{path}/approve").status_code == 409


def test_held_flows_are_repaired(dsi: FlaskClient, made: Administered, owner: sa.Engine) -> None:
    path = f"/admin/flows/{made.flow}"
    assert "elle attend que la DSI" in dsi.get(path).text
    assert send(dsi, f"{path}/hand-over", to="", note="J’appelle l’hébergeur.").status_code == 302
    assert "Hélène s’en occupe" in dsi.get(path).text
    assert send(dsi, f"{path}/retry").status_code == 302
    with territory_session(owner, "test") as session:
        assert session.get_one(Flow, made.flow).state == "queued"
    assert send(dsi, f"{path}/undo").status_code == 409


def test_versions_are_published(dsi: FlaskClient, made: Administered, owner: sa.Engine) -> None:
    path = f"/admin/catalogue/{made.draft}"
    typed = {"title.fr": "Petite", "title.en": "Small", "summary.fr": "R", "summary.en": "S", "flavor": "s1.small",
             "vcpus": "1", "ram_mib": "1024", "approval": "none", "disk_gib.minimum": "0", "disk_gib.maximum": "100",
             "disk_gib.default": "10"}  # fmt: skip
    refused = send(dsi, f"{path}/edit", **{**typed, "disk_gib.default": "500"})
    assert refused.status_code == 422
    assert 'id="error-disk_gib.default"' in refused.text
    for none in ("--5", "9" * 5000, "-", "1.5", ""):
        assert send(dsi, f"{path}/edit", **{**typed, "disk_gib.maximum": none}).status_code == 422, none
    assert send(dsi, f"{path}/edit", **typed).status_code == 302
    assert send(dsi, f"{path}/publish").status_code == 302
    with territory_session(owner, "test") as session:
        offer = session.get_one(Offer, made.draft)
        assert (offer.state, offer.title["fr"]) == ("published", "Petite")
    assert send(dsi, "/admin/catalogue/yaml", yaml="kind: [").status_code == 422
    shown = dsi.get(f"/admin/catalogue/yaml?offer={made.draft}").text
    assert "kind: vm" in shown and "name: ssh_keys" in shown
    assert f"/admin/catalogue/yaml?offer={made.draft}" in dsi.get(path).text
    assert send(dsi, f"{path}/withdraw").status_code == 302


def test_tariffs_are_adopted(dsi: FlaskClient, made: Administered, owner: sa.Engine) -> None:
    shown = dsi.get(f"/admin/prices/drafts/{made.tariff}").text
    assert "12,00\xa0€" in shown  # what the month would have cost
    assert send(dsi, "/admin/prices/new", book="", starts="x").status_code == 422
    assert send(dsi, f"/admin/prices/drafts/{made.tariff}/adopt", told_on="2999-01-01").status_code == 422
    assert send(dsi, f"/admin/prices/drafts/{made.tariff}/adopt", told_on="2026-01-02").status_code == 302
    with territory_session(owner, "test") as session:
        assert session.scalar(sa.select(sa.func.count()).where(Price.origin == "made")) == 1
    assert send(dsi, f"/admin/prices/drafts/{made.tariff}/discard").status_code == 409


def test_policies_are_adopted(dsi: FlaskClient, made: Administered) -> None:
    refused = send(dsi, "/admin/policy/new", rules="rules: [{nom: x}]")
    assert refused.status_code == 422
    assert 'id="error-rules"' in refused.text
    for broken in ("[", "rules: 2026-02-30", "rules: !!int x", "[" * 1500):
        assert send(dsi, "/admin/policy/new", rules=broken).status_code == 422, broken[:20]
    assert send(dsi, "/admin/policy/new", rules="rules: []").status_code == 302
    assert send(dsi, f"/admin/policy/{made.policy}/adopt").status_code == 302
    assert "version 2" in dsi.get("/admin/policy").text


def test_the_trail_is_searched_verified_and_kept(dsi: FlaskClient, made: Administered, owner: sa.Engine) -> None:
    first = dsi.get("/admin/audit?action=service.")
    assert 'rel="next"' in first.text
    following = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert following
    assert "service 0" in dsi.get(following[1].replace("&amp;", "&")).text
    assert send(dsi, "/admin/audit/verify").status_code == 302
    assert "Le journal est entier" in dsi.get("/admin/audit").text
    for days in ("400", "9" * 5000, "-1", "x"):
        assert send(dsi, "/admin/audit/retention", days=days, reason="").status_code == 422, days[:20]
    assert dsi.get("/admin/audit?since=0001-01-01&until=9999-12-31").status_code == 200
    assert send(dsi, "/admin/audit/retention", days="200", reason="").status_code == 302
    with territory_session(owner, "test") as session:
        assert session.scalar(sa.select(AuditEntry.action).order_by(AuditEntry.id.desc()).limit(1)) == "audit.retention"


def test_announcements_are_read_put_aside_and_withdrawn(
    app: APIFlask, dsi: FlaskClient, made: Administered, owner: sa.Engine
) -> None:
    agent = invite(app, "Agent", "brevaux", ["requester"]).client()
    assert "Maintenance jeudi" in agent.get("/").text
    assert "Maintenance on Thursday" in agent.get("/?lang=en").text
    assert send(agent, f"/announcements/{made.announcement}/dismiss", next="/catalogue").location == "/catalogue"
    assert "Thursday" not in agent.get("/").text
    assert send(agent, f"/announcements/{made.announcement}/dismiss", next="//evil.example").location == "/"
    typed = {"level": "info", "title_fr": "Fini", "title_en": "Over", "body_fr": "Merci.", "body_en": "Thanks."}
    assert send(dsi, "/admin/announcements/new", **typed).status_code == 422
    assert send(dsi, "/admin/announcements/new", **typed, starts_at="2026-01-01T08:00").status_code == 302
    assert send(dsi, f"/admin/announcements/{made.announcement}/withdraw").status_code == 302
    with territory_session(owner, "test") as session:
        shown = session.scalars(sa.select(Announcement.id).where(Announcement.withdrawn_at.is_(None))).all()
    assert made.announcement not in shown


def test_months_are_drafted_checked_and_closed(dsi: FlaskClient, made: Administered) -> None:
    path = f"/finance/periods/{LABEL}"
    assert "Différences" in dsi.get(path).text  # what was written by hand has no events
    assert send(dsi, f"{path}/close", confirm=LABEL).status_code == 409
    assert send(dsi, f"{path}/draft").status_code == 302
    assert "Tout concorde" in send_and_follow(dsi, f"{path}/check")
    assert "tous les contrôles passent" in dsi.get(f"{path}/close").text
    assert send(dsi, f"{path}/close", confirm="x").status_code == 422
    assert "Le mois est clos" in send_and_follow(dsi, f"{path}/close", confirm=LABEL)
    assert send(dsi, f"{path}/draft").status_code == 409
    assert send(dsi, "/finance/periods", month="2026-13").status_code == 422
    assert send(dsi, "/finance/periods", month="2026-02").status_code == 302


def send_and_follow(client: FlaskClient, path: str, **data: str) -> str:
    answer = send(client, path, **data)
    assert answer.status_code == 302, answer.text[-2000:]
    return client.get(answer.location).text
