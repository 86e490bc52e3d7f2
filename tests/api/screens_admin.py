"""What is looked at of the DSI's and finance's pages: states that need something to be there. They join SCREENS."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import sqlalchemy as sa
from playwright.sync_api import Page
from sqlalchemy.orm import Session

from orchestrator import events
from orchestrator.cloud_servers import ServerUsage
from orchestrator.tables import Flow, FlowStep, Member, Resource, Service
from tenants import (
    announcements,
    catalogue,
    catalogue_versions,
    disputes,
    members_changes,
    periods,
    policy,
    pools,
    prices_drafts,
    statements,
    usage_check,
)
from tenants.bench_pages import COSTS
from tenants.tables_administration import MemberChange, PriceDraft
from tenants.tables_finance import KINDS
from tests.api.administered import _measured
from tests.api.screen import MEMBER, TERRITORY, Screen, inside, press, typed
from tests.api.screens_portal import by_hand, drifted, planned, waiting
from tests.api.valley import resource
from tests.tenants.costed import SERVERS, book
from tests.tenants.test_members_changes import _document

NUMBERS = count(1)
PARIS = "Europe/Paris"
TOLD = "Le nuage n’a pas répondu à temps."


def flow(state: str, **more: Any) -> Callable[[Session, int], str]:
    """A creation in a state, with a step that says why."""

    def make(session: Session, member_id: int) -> str:
        at = datetime.now(UTC)
        service = Service(member_id=member_id, name=f"agenda-{next(NUMBERS)}", state="creating", specification={})
        session.add(service)
        session.flush()
        made = Flow(member_id=member_id, service_id=service.id, kind="create_server", state=state, worker_id="worker-1",
                    requested_by="account 1 (Marc)", started_at=at - timedelta(minutes=2), **more)  # fmt: skip
        session.add(made)
        session.flush()
        of = {"flow_id": made.id, "member_id": member_id, "started_at": at - timedelta(minutes=2)}
        if state != "queued":
            session.add(FlowStep(**of, name="port", state="undone" if state == "failed" else "done", ended_at=at))
            session.add(FlowStep(**of, name="server", state="failed", attempts=3, ended_at=at, message=TOLD))
        return f"/admin/flows/{made.id}"

    return make


def held(session: Session, member_id: int) -> str:
    more = {"error_code": "cloud_timeout", "error_sentence": TOLD, "error_detail": "HTTP 504\nGateway Time-out"}
    return flow("held", held_at=datetime.now(UTC), **more)(session, member_id)


def failed(session: Session, member_id: int) -> str:
    more = {"error_code": "cloud_timeout", "error_sentence": TOLD}
    return flow("failed", ended_at=datetime.now(UTC), **more)(session, member_id)


def draft(session: Session, member_id: int) -> str:
    """A draft of an offer, which may be there already: an offer has one at most."""
    known = catalogue_versions.listed(session, "draft", "vm-small")
    made = known[0][0] if known else catalogue_versions.copy(session, catalogue.find(session, "vm-small").id)
    return f"/admin/catalogue/{made.id}"


def withdrawn(session: Session, member_id: int) -> str:
    made = catalogue_versions.copy(session, catalogue.find(session, "vm-large").id)
    catalogue_versions.withdraw(session, made.id)
    return f"/admin/catalogue/{made.id}"


def tariff(session: Session, member_id: int) -> str:
    for open_ in session.query(PriceDraft).filter_by(state="draft"):
        prices_drafts.discard(session, open_.id, datetime.now(UTC))
    year = datetime.now(UTC).year + next(NUMBERS)
    made = prices_drafts.write(session, None, f"Tarif {year}", f"{year}-01-01", {"vcpu": "0.012", "ram": "0.004"})
    return f"/admin/prices/drafts/{made.id}"


def rules(session: Session, member_id: int) -> str:
    document = policy.current(session).policy.model_dump(mode="json")
    return f"/admin/policy/{policy.draft(session, document, datetime.now(UTC)).version}"


def announced(session: Session, member_id: int) -> str:
    """One that is shown, one to come, one that was withdrawn."""
    now, words = datetime.now(UTC), {"fr": "Maintenance du réseau jeudi", "en": "Network maintenance on Thursday"}
    body = {"fr": "De 6 h à 7 h, les adresses publiques répondront par moments.", "en": "Off and on from 6 to 7."}
    made = [
        announcements.write(session, None, level=level, title=words, body=body, starts_at=now + timedelta(hours=hours),
                            ends_at=now + timedelta(days=2), member=whom)
        for level, hours, whom in (("info", -1, None), ("warning", 5, None), ("danger", -1, "brevaux"))
    ]  # fmt: skip
    announcements.withdraw(session, made[2].id, now)
    return f"/admin/announcements/{made[0].id}"


def change(state: str, **more: Any) -> Callable[[Session, int], str]:
    """A change of a member, in a state."""

    def make(session: Session, member_id: int) -> str:
        made = members_changes.ask(session, _document(slug=f"val-{next(NUMBERS)}"), new=True)
        made.state = state
        if state != "planning":
            made.plan = {
                "new": True,
                "cidr": "10.80.1.0/24",
                "cloud": [{"field": "project", "old": None, "new": "vallombre-val"}],
                "database": [
                    {"field": "quota.servers", "old": None, "new": "2"},
                    {"field": "name", "old": "", "new": "Val"},
                ],
            }
        for name, value in more.items():
            setattr(made, name, value)
        session.flush()
        return f"/admin/members/changes/{made.id}"

    return make


def discarded(session: Session, member_id: int) -> str:
    path = change("planned")(session, member_id)
    made = session.get_one(MemberChange, int(path.rsplit("/", 1)[1]))
    members_changes.discard(session, made.id, datetime.now(UTC))
    return path


def month(label: str, *, checked: bool = False, closed: bool = False) -> Callable[[Session, int], str]:
    """A month with a service that ran and its share of common costs, as far as it came."""

    def make(session: Session, member_id: int) -> str:
        now, begun = datetime.now(UTC), periods.bounds(label, PARIS).lower
        assert begun
        spec = {"vcpus": 2, "ram_mib": 4096}
        service = Service(member_id=member_id, name=f"cantine-{label}", specification=spec, state="active")
        session.add(service)
        session.flush()
        resource(session, service, "server", begun + timedelta(days=3), ("launched", "serving"))
        session.execute(sa.update(Member).values(population=1000))
        pools.apply_keys(session, COSTS)
        periods.draft(session, label, COSTS, now, PARIS)
        if checked or closed:
            assert periods.check(session, label) == []
        if closed:
            periods.close(session, label, now)
        return f"/finance/periods/{label}"

    return make


def compared(label: str) -> Callable[[Session, int], str]:
    """A month's hours beside Nova's: one server that it counts longer, and one that we don't know."""

    def make(session: Session, member_id: int) -> str:
        asked = usage_check.ask(session, label, datetime.now(UTC))
        ours = session.scalar(sa.select(Service.id).where(Service.name == f"cantine-{label}"))
        server = session.scalar(sa.select(Resource.cloud_id).where(Resource.service_id == ours))
        told = [
            (member_id, ServerUsage(name, name, "project", Decimal(hours), 1, 1024, asked.start, None))
            for name, hours in ((str(server), "744"), ("fait-a-la-main", "12.5"))
        ]
        usage_check.write(session, asked, told, datetime.now(UTC))
        return f"/finance/periods/{label}/usage-check"

    return make


def corrected(session: Session, member_id: int) -> str:
    """April again, after it came to be known that the server of March, which is closed, was gone earlier."""
    thing = session.scalars(
        sa.select(Resource).join(Service, Service.id == Resource.service_id).where(Service.name == "cantine-2026-03")
    ).one()
    at = datetime(2026, 3, 20, tzinfo=UTC)
    events.record_event(session, thing.id, "deleted", at, size=events.Size(vcpus=2, ram_mib=4096))
    periods.draft(session, "2026-04", COSTS, datetime.now(UTC), PARIS)
    return "/finance/periods/2026-04"


def disputed(path: str) -> Callable[[Session, int], str]:
    """A line of March that its member objects to, and an answer; the page at `path`."""

    def make(session: Session, member_id: int) -> str:
        now, rows = datetime.now(UTC), disputes.listed(session, state="answered")
        if not rows:
            [march] = [row for row in statements.listed(session, "2026-03") if _is(session, row, member_id)]
            made = disputes.open_(session, march["id"], 1, "Ce serveur était arrêté.", now)
            disputes.answer(session, made.id, "Nous regardons.", now)
            rows = disputes.listed(session, state="answered")
        return path.format(statement=rows[0]["statement_id"], dispute=rows[0]["id"])

    return make


def _is(session: Session, row: dict[str, Any], member_id: int) -> bool:
    return session.get_one(Member, member_id).slug == row["member"]


def refused_dispute(page: Page) -> None:
    """Settle the first one by nothing."""
    follow("first")(page)
    page.fill("#field-decision", "x")
    with page.expect_navigation():
        page.locator("form[action$='/settle'] button").click()


def follow_april(page: Page) -> None:
    """Open the account of April: only May's is newer."""
    with page.expect_navigation():
        page.locator("main th a").nth(1).click()


def follow_correction(page: Page) -> None:
    """Open the account of April, then its first line that corrects another month."""
    follow_april(page)
    with page.expect_navigation():
        page.get_by_role("table", name=re.compile("Rectifications|Corrections")).locator("tbody th a").first.click()


def follow(which: str) -> Callable[[Page], None]:
    """Follow the first or last link that names a row."""

    def act(page: Page) -> None:
        with page.expect_navigation():
            getattr(page.locator("main th a"), which).click()

    return act


def given(content: str) -> Callable[[Page], None]:
    """Send a file of this content."""

    def act(page: Page) -> None:
        page.set_input_files("#field-file", {"name": "f.csv", "mimeType": "text/csv", "buffer": content.encode()})
        with page.expect_navigation():
            page.locator("main form:has(#field-file) button").click()

    return act


def booked(session: Session) -> int:
    """A cost that counts for five years."""
    given = {**SERVERS, "date": f"2026-01-{next(NUMBERS) % 28 + 1:02}"}
    return book(session, given).id


def follow_simulation(page: Page) -> None:
    """Simulate a version that is there, as it is."""
    with page.expect_navigation():
        page.locator("main td.acts-cell a").last.click()


def measured(session: Session, member_id: int) -> None:
    _measured(session, member_id)


def _filled(path: str) -> Screen:
    return Screen(path.strip("/").replace("/", "-") + "-none", path, TERRITORY)


# What every list says before there is anything: these come before anything is made.
EMPTY = tuple(
    _filled(path)
    for path in (
        "/admin/orders", "/admin/flows", "/admin/capacity", "/admin/quotas", "/admin/workers", "/admin/announcements",
        "/admin/upgrades",
        "/admin/catalogue?state=draft", "/finance/periods", "/finance/keys", "/finance/keys/simulate",
        "/finance/costs", "/finance/unit-cost", "/finance/energy",
        "/finance/statements", "/services", "/orders", "/approvals",
        "/statements", "/costs", "/webhooks", "/tokens", "/people/deputies",
    )
)  # fmt: skip

SCREENS = (
    Screen("admin-flow-waiting", "", TERRITORY, inside(flow("queued"))),
    Screen("admin-flow-running", "", TERRITORY, inside(flow("running"))),
    Screen("admin-flow-held", "", TERRITORY, inside(held)),
    Screen("admin-flow-detail", "", TERRITORY, inside(held), lambda page: page.locator("main summary").first.click()),
    Screen("admin-flow-failed", "", TERRITORY, inside(failed)),
    Screen("admin-flow-kept", "", TERRITORY, inside(held), typed(to="Marc Tellier", note="Quota du nuage plein.")),
    Screen("admin-flow-retried", "", TERRITORY, inside(held), press(".btn-primary")),
    Screen("admin-flow-undo", "", TERRITORY, inside(lambda s, m: f"{held(s, m)}/undo")),
    Screen("admin-flow-cancel", "", TERRITORY, inside(lambda s, m: f"{flow('running')(s, m)}/cancel")),
    Screen("admin-flows", "/admin/flows", TERRITORY),
    Screen("admin-flows-sought", "/admin/flows?member=zzz", TERRITORY),
    Screen("admin-order", "", TERRITORY, inside(lambda s, m: f"/admin{waiting(s, m)}")),
    Screen("admin-order-no-reason", "", TERRITORY, inside(lambda s, m: f"/admin{waiting(s, m)}"), typed(reason="")),
    Screen("admin-order-refused", "", TERRITORY, inside(lambda s, m: f"/admin{waiting(s, m)}"), typed(reason="Non.")),
    Screen("admin-order-granted", "", TERRITORY, inside(lambda s, m: f"/admin{waiting(s, m)}"), press(".btn-primary")),
    Screen("admin-orders", "/admin/orders", TERRITORY),
    Screen("admin-orders-sought", "/admin/orders?state=expired", TERRITORY),
    Screen("admin-capacity", "/admin/capacity", TERRITORY, inside(measured)),
    Screen("admin-drift", "/admin/drift", TERRITORY, inside(lambda s, m: drifted(s, m) and None)),
    Screen("admin-outside", "/admin/outside", TERRITORY, inside(lambda s, m: by_hand(s, m) and None)),
    Screen("admin-upgrades", "/admin/upgrades", TERRITORY, inside(lambda s, m: planned(s, m) and None)),
    Screen("admin-quotas", "/admin/quotas", TERRITORY),
    Screen("admin-quotas-odd", "/admin/quotas?odd=1", TERRITORY),
    Screen("admin-offer", "", TERRITORY, inside(lambda s, m: f"/admin/catalogue/{catalogue.find(s, 'vm-large').id}")),
    Screen("admin-offer-draft", "", TERRITORY, inside(draft)),
    Screen("admin-offer-edit", "", TERRITORY, inside(lambda s, m: f"{draft(s, m)}/edit"), typed(title__fr="")),
    Screen("admin-offer-published", "", TERRITORY, inside(draft), press(".btn-primary")),
    Screen("admin-offer-withdrawn", "", TERRITORY, inside(withdrawn)),
    Screen("admin-catalogue", "/admin/catalogue", TERRITORY),
    Screen("admin-catalogue-yaml", "/admin/catalogue/yaml", TERRITORY, act=typed(yaml="offers: [")),
    Screen("admin-prices-form", "/admin/prices/new", TERRITORY, act=typed(book="", starts="", hourly__vcpu="cher")),
    Screen("admin-policy-draft", "", TERRITORY, inside(rules)),
    Screen("admin-policy-form", "/admin/policy/new", TERRITORY, act=typed(rules="rules: 3")),
    Screen("admin-policy", "/admin/policy", TERRITORY),
    Screen("admin-audit", "/admin/audit", TERRITORY, act=lambda page: page.locator("td summary").first.click()),
    Screen("admin-audit-sought", "/admin/audit?actor=personne", TERRITORY),
    Screen("admin-audit-proved", "/admin/audit", TERRITORY, act=press(".btn-outline")),
    Screen("admin-retention", "/admin/audit/retention", TERRITORY, act=typed(days="3000", reason="")),
    Screen("admin-announcement", "", TERRITORY, inside(announced)),
    Screen("admin-announcements", "/admin/announcements", TERRITORY),
    Screen("admin-announcement-form", "/admin/announcements/new", TERRITORY, act=typed(title_fr="")),
    Screen("admin-member-form", "/admin/members/new", TERRITORY, act=typed(slug="Val !", siren="12", siret="13")),
    Screen("admin-change-planning", "", TERRITORY, inside(change("planning"))),
    Screen("admin-change-planned", "", TERRITORY, inside(change("planned"))),
    Screen("admin-change-applying", "", TERRITORY, inside(change("applying", told=[
        {"at": "2026-11-23T09:15:00+00:00", "line": "val : un réseau"}]))),
    Screen("admin-change-failed", "", TERRITORY, inside(change("failed", error_code="cloud_timeout",
        error_sentence=TOLD, ended_at=datetime.now(UTC)))),
    Screen("admin-change-discarded", "", TERRITORY, inside(discarded)),
    Screen("admin-members", "/admin/members", TERRITORY),
    Screen("admin-members-sought", "/admin/members?q=zzz", TERRITORY),
    Screen("admin-member-closing", "/admin/members/brevaux/close", TERRITORY, act=typed(confirm="non")),
    Screen("finance-period-draft", "", TERRITORY, inside(month("2026-05"))),
    Screen("finance-usage-check-none", "/finance/periods/2026-05/usage-check", TERRITORY),
    Screen("finance-usage-check", "", TERRITORY, inside(compared("2026-05"))),
    Screen("finance-period-checked", "", TERRITORY, inside(month("2026-04", checked=True))),
    Screen("finance-period-close", "/finance/periods/2026-04/close", TERRITORY, act=typed(confirm="2026")),
    Screen("finance-period-closed", "", TERRITORY, inside(month("2026-03", closed=True))),
    Screen("finance-period-corrected", "", TERRITORY, inside(corrected)),
    Screen("statement-corrected", "/statements", MEMBER, act=follow_april),
    Screen("statement-disputes", "", MEMBER, inside(disputed("/statements/{statement}/disputes"))),
    Screen("finance-dispute", "", TERRITORY, inside(disputed("/finance/disputes/{dispute}"))),
    Screen("finance-dispute-refused", "/finance/disputes", TERRITORY, act=refused_dispute),
    Screen("finance-disputes", "/finance/disputes", TERRITORY),
    Screen("statement-correction", "/statements", MEMBER, act=follow_correction),
    Screen("finance-period-refused", "/finance/periods", TERRITORY, act=typed(month="2099-01")),
    Screen("finance-periods", "/finance/periods", TERRITORY),
    Screen("finance-keys", "/finance/keys", TERRITORY),
    Screen("finance-simulation", "/finance/keys", TERRITORY, act=follow_simulation),
    Screen("finance-simulation-refused", "/finance/keys/simulate", TERRITORY, act=typed(weights__equal="50,5")),
    Screen("finance-simulation-wrong", "/finance/keys/simulate?weights.equal=x&weights.vcpu=1&pools=x", TERRITORY),
    Screen("finance-costs", "", TERRITORY, inside(lambda s, m: f"/finance/costs{booked(s) and '?month=2026-10'}")),
    Screen("finance-cost", "", TERRITORY, inside(lambda s, m: f"/finance/costs/{booked(s)}")),
    Screen("finance-cost-ended", "", TERRITORY, inside(lambda s, m: f"/finance/costs/{booked(s)}"), typed(month="2")),
    *(
        Screen(f"finance-cost-{kind}", f"/finance/costs/new?kind={kind}", TERRITORY, act=typed(account="6512"))
        for kind in KINDS
    ),
    Screen("finance-cost-import", "/finance/costs/import", TERRITORY, act=given("nature;compte\nx;6156\nstaff;6512\n")),
    Screen("finance-unit-cost", "/finance/unit-cost", TERRITORY),
    Screen("finance-unit-cost-wrong", "/finance/unit-cost?period=x", TERRITORY),
    Screen("finance-energy", "/finance/energy", TERRITORY),
    Screen("finance-energy-wrong", "/finance/energy?year=x", TERRITORY),
    Screen("finance-billing", "/finance/billing", TERRITORY),
    Screen("finance-billing-form", "/finance/billing/brevaux", TERRITORY, act=typed(month="x", reference="")),
    Screen("finance-billing-year", "/finance/billing", TERRITORY, act=typed(year="2026")),
    Screen("finance-settings", "/finance/settings", TERRITORY),
    Screen("finance-vat-text", "/finance/settings/vat/texts/new", TERRITORY),
    Screen("finance-vat-cost", "/finance/settings/vat/costs/new", TERRITORY, act=typed(hourly="x", since="2026-01")),
    Screen("finance-contract", "/finance/settings/vat/contracts/brevaux", TERRITORY,
           act=typed(since="2026-01", city="x" * 101)),
    Screen("finance-statements", "/finance/statements", TERRITORY),
    Screen("finance-statements-sought", "/finance/statements?member=zzz", TERRITORY),
    *(
        Screen(f"{who}-statement-{which}", path, who, act=follow(which))
        for who, path in ((TERRITORY, "/finance/statements"), (MEMBER, "/statements"))
        for which in ("first", "last")  # a draft; one that is closed
    ),
    Screen("admin-price-draft", "", TERRITORY, inside(tariff)),  # after a month there is something to compare
    Screen("admin-prices", "/admin/prices", TERRITORY),
    Screen("admin-price-adopted", "", TERRITORY, inside(tariff), press(".btn-danger")),
)  # fmt: skip
