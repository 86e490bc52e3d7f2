"""Whose is what: for each name in a route (`<int:service_id>`), an id of brevaux's, and one of orgelune's.

A page that comes later adds its names to IDS, and to SENT what its forms and bodies must hold to get as far as the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, cast

import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from orchestrator.database import territory_session
from orchestrator.tables import Flow, Service, Snapshot
from orchestrator.tables_backups import Backup
from orchestrator.tables_exports import Export
from tenants import orders
from tenants.tables import Offer, Period, Price, Statement, StatementLine
from tenants.tables_administration import Announcement, MemberChange, PriceDraft, UsageCheck
from tenants.tables_approvals import Deputy, PolicyVersion
from tenants.tables_disputes import Dispute
from tenants.tables_finance import CostEntry
from tenants.tables_identity import Account, SignedIn, Token
from tenants.tables_notices import Delivery, Endpoint
from tenants.tables_upgrades import PlannedUpgrade
from tests.api.people import Person, invite
from tests.tenants.ordering import KEY, NOW, wish

NOTHING = 987_654  # the id of nothing
NUMBERS = count(1)


@dataclass
class World:
    """The app with two members, brevaux (own) and orgelune (other), each with a row of everything."""

    app: APIFlask
    owner: sa.Engine
    members: dict[str, int]
    kept: dict[tuple[str, str], Any] = field(default_factory=dict)

    def browser(self, person: Person) -> FlaskClient:
        """A browser in which a person stays signed in."""
        name = ("browser", person.email)
        if name not in self.kept:
            self.kept[name] = person.client()
        return cast(FlaskClient, self.kept[name])

    def token(self, person: Person) -> str:
        """A token of a person, made the first time."""
        name = ("token", person.email)
        if name not in self.kept:
            self.kept[name] = person.token()
        return cast(str, self.kept[name])

    def once(self, name: str, slug: str, make: Callable[[Session, int], Any]) -> Any:
        """What `make` gives for a member, made the first time."""
        if (name, slug) not in self.kept:
            with territory_session(self.owner, "tests") as session:
                self.kept[name, slug] = make(session, self.members[slug])
        return self.kept[name, slug]

    def row(self, slug: str, make: Callable[[Session, int], Any]) -> Any:
        """A fresh row of a member each time: for routes that use it up."""
        with territory_session(self.owner, "tests") as session:
            return make(session, self.members[slug])


# name in the route: (the world, a member, who asks or None) -> its id for that member.
Find = Callable[[World, str, Person | None], Any]


def _add(session: Session, row: Any) -> int:
    session.add(row)
    session.flush()
    return int(row.id)


STACK = {
    "slug": "salut", "version": "1",
    "secrets": [{"name": "x", "length": 24, "shown": True, "label": {"fr": "X", "en": "X"}}],
}  # fmt: skip


def _service(session: Session, member_id: int) -> int:
    return _add(
        session,
        Service(member_id=member_id, name="tenu", specification={"offer": "salut", "stack": STACK}, state="active"),
    )


def _flow(session: Session, member_id: int, service_id: int) -> int:
    flow = Flow(member_id=member_id, service_id=service_id, kind="stop_server", state="done", requested_by="t")
    flow.ended_at = NOW
    return _add(session, flow)


def _order(session: Session, member_id: int) -> int:
    """One that waits for somebody's decision."""
    return orders.place(session, member_id, "vm-xlarge", wish("tenu-gros"), "held", datetime.now(UTC)).id


def _statement(session: Session, member_id: int) -> int:
    found = session.scalar(sa.select(Period).where(Period.label == "2026-10"))
    period = found or Period(label="2026-10", during=Range(NOW.replace(month=10), NOW))
    session.add(period)
    session.flush()
    session.merge(UsageCheck(period_id=period.id, until=NOW, read_at=NOW, read_by="test"))
    return _add(session, Statement(period_id=period.id, member_id=member_id, total=Decimal(1)))


def _session_of(account_id: int) -> Callable[[Session, int], int]:
    def make(session: Session, member_id: int) -> int:
        at = datetime.now(UTC)
        row = SignedIn(account_id=account_id, digest=f"{next(NUMBERS)}".encode(), csrf="c", seen_at=at,
                       expires_at=at + timedelta(hours=1), address="192.0.2.2", device="t")  # fmt: skip
        return _add(session, row)

    return make


def _account(world: World, slug: str, asking: Person | None) -> int:
    return invite(world.app, f"Dominique {next(NUMBERS)}", slug, ["requester"]).account_id


def _stranger(session: Session, member_id: int) -> int:
    return _add(session, Account(email=f"stranger{next(NUMBERS)}@x.fr", name="S", state="active"))


def _session_id(world: World, slug: str, asking: Person | None) -> int:
    own = asking is not None and slug == "brevaux"
    account_id = asking.account_id if own and asking else world.once("stranger", "orgelune", _stranger)
    return int(world.row(slug, _session_of(account_id)))


def _token_id(world: World, slug: str, asking: Person | None) -> int:
    own = asking is not None and slug == "brevaux"
    account_id = asking.account_id if own and asking else world.once("stranger", "orgelune", _stranger)

    def make(session: Session, member_id: int) -> int:
        return _add(session, Token(account_id=account_id, member_id=member_id, label="t", scopes=["read"],
                                   digest=f"token {next(NUMBERS)}".encode(),
                                   expires_at=datetime.now(UTC) + timedelta(hours=1)))  # fmt: skip

    return int(world.row(slug, make))


def _change(session: Session, member_id: int) -> int:
    state = {"kind": "close", "state": "planned", "plan": {"database": [], "cloud": []}, "requested_by": "t"}
    return _add(session, MemberChange(member_id=member_id, slug=f"m{member_id}", **state))


def _offer(session: Session, member_id: int) -> int:
    words = {"fr": "Offre", "en": "Offer"}
    return _add(session, Offer(slug=f"offer-{next(NUMBERS)}", version=1, kind="vm", state="draft", title=words,
                               summary=words, flavor="f", vcpus=1, ram_mib=1024, parameters={"rules": []}))  # fmt: skip


def _tariff(session: Session, member_id: int) -> int:
    return _add(session, PriceDraft(book="t", starts=NOW.date(), hourly={"vcpu": "1"}, made_by="t"))


def _cost(session: Session, member_id: int) -> int:
    first, section = NOW.date().replace(day=1), "fonctionnement"
    return _add(session, CostEntry(kind="supplier", label="t", account="6156", section=section, dated=first,
                                   starts=first, months=1, amount=Decimal(1), made_by="t"))  # fmt: skip


def _policy(session: Session, member_id: int) -> int:
    version = 1000 + next(NUMBERS)
    _add(session, PolicyVersion(version=version, document={"rules": []}, made_by="t", made_at=NOW))
    return version


def _announcement(session: Session, member_id: int) -> int:
    words = {"fr": "Annonce", "en": "Notice"}
    return _add(session, Announcement(member_id=member_id, level="info", title=words, body=words, starts_at=NOW,
                                      made_by="t"))  # fmt: skip


def _line(session: Session, member_id: int, statement_id: int) -> int:
    statement, price = session.get_one(Statement, statement_id), session.scalars(sa.select(Price)).first()
    service = Service(member_id=member_id, name=f"compte-{statement_id}", specification={}, state="active")
    session.add(service)
    session.flush()
    assert price
    _add(session, StatementLine(statement_id=statement_id, period_id=statement.period_id, member_id=member_id,
                                position=1, kind="usage", service_id=service.id, meter_id=price.meter_id,
                                price_id=price.id, unit_seconds=Decimal(3600), amount=Decimal(1)))  # fmt: skip
    return 1


def _backup(session: Session, member_id: int, service_id: int) -> int:
    return _add(session, Backup(member_id=member_id, service_id=service_id, vault_id=service_id, archive="t", bytes=1,
                                scheduled=False, requested_by="t", created_at=NOW, made_at=NOW, added=1, files=1,
                                borg_id="t", state="ready"))  # fmt: skip


def _snapshot(session: Session, member_id: int, service_id: int) -> int:
    return _add(session, Snapshot(member_id=member_id, service_id=service_id, name="t", requested_by="t"))


def _planned(session: Session, member_id: int, service_id: int) -> int:
    return _add(session, PlannedUpgrade(member_id=member_id, service_id=service_id, version="2", brings=[],
                                        not_before=NOW, starts_at=NOW, ends_at=NOW + timedelta(hours=4),
                                        planned_by="t", planned_at=NOW))  # fmt: skip


def _endpoint(session: Session, member_id: int) -> int:
    return _add(session, Endpoint(member_id=member_id, label="t", url="https://t.example", events=[], secret=b"t",
                                  made_by="t", made_at=NOW))  # fmt: skip


def _export(session: Session, member_id: int, service_id: int) -> int:
    return _add(session, Export(member_id=member_id, service_id=service_id, title="t", file="0" * 64, papers={},
                                state="ready", bytes=1, sha256="0" * 64, files=1, requested_by="t", created_at=NOW,
                                made_at=NOW, expires_at=NOW))  # fmt: skip


def _delivery(session: Session, member_id: int) -> int:
    return _add(session, Delivery(endpoint_id=_endpoint(session, member_id), member_id=member_id, event="webhook.test",
                                  body="{}", due_at=NOW, queued_at=NOW))  # fmt: skip


def _dispute(session: Session, member_id: int) -> int:
    """Of a month before the one that requests draft anew: what is disputed can't be."""
    old = session.scalar(sa.select(Period).where(Period.label == "2026-09"))
    if old is None:
        old = Period(label="2026-09", during=Range(NOW.replace(month=9), NOW.replace(month=10)))
        session.add(old)
        session.flush()
    period_id = old.id
    statement_id = _add(session, Statement(period_id=period_id, member_id=member_id, total=Decimal(1)))
    _line(session, member_id, statement_id)
    return _add(session, Dispute(member_id=member_id, statement_id=statement_id, period_id=period_id, position=1,
                                 reason="r", opened_by="t", opened_at=NOW))  # fmt: skip


def _deputy(world: World, slug: str, asking: Person | None) -> int:
    """Who stands in for the one who asks, in that person's house; or for a stranger in the other member."""
    own = asking if asking and slug == "brevaux" else None
    house = own.member_id if own else world.members[slug]

    def make(session: Session, member_id: int) -> int:
        account_id = own.account_id if own else _stranger(session, member_id)
        role = "approver" if house else "dsi_admin"
        return _add(session, Deputy(account_id=account_id, deputy_id=_stranger(session, member_id), role=role,
                                    member_id=house, during=Range(NOW, None), made_by="t"))  # fmt: skip

    return int(world.row(slug, make))


def _offer_slug(world: World, slug: str, asking: Person | None) -> str:
    foreign = slug == "orgelune" and asking is not None and asking.member_id is not None
    return "nothing" if foreign else "vm-small"


IDS: dict[str, Find] = {
    "service_id": lambda world, slug, asking: world.once("service", slug, _service),
    "flow_id": lambda world, slug, asking: world.once(
        "flow", slug, lambda session, member: _flow(session, member, world.once("service", slug, _service))
    ),
    "order_id": lambda world, slug, asking: world.once("order", slug, _order),
    "statement_id": lambda world, slug, asking: world.once("statement", slug, _statement),
    "account_id": _account,
    "session_id": _session_id,
    "token_id": _token_id,
}

IDS |= {
    "upgrade_id": lambda world, slug, asking: world.once(
        "upgrade", slug, lambda session, member: _planned(session, member, world.once("service", slug, _service))
    ),
    "snapshot_id": lambda world, slug, asking: world.once(
        "snapshot", slug, lambda session, member: _snapshot(session, member, world.once("service", slug, _service))
    ),
    "backup_id": lambda world, slug, asking: world.once(
        "backup", slug, lambda session, member: _backup(session, member, world.once("service", slug, _service))
    ),
    "export_id": lambda world, slug, asking: world.once(
        "export", slug, lambda session, member: _export(session, member, world.once("service", slug, _service))
    ),
    "endpoint_id": lambda world, slug, asking: world.row(slug, _endpoint),
    "delivery_id": lambda world, slug, asking: world.row(slug, _delivery),
    "deputy_row_id": _deputy,
    "offer_slug": _offer_slug,
    "member_slug": lambda world, slug, asking: slug,
    "month": lambda world, slug, asking: (world.once("statement", slug, _statement), "2026-10")[1],
    "change_id": lambda world, slug, asking: world.once("change", slug, _change),
    "offer_id": lambda world, slug, asking: world.row(slug, _offer),
    "entry_id": lambda world, slug, asking: world.row(slug, _cost),
    "draft_id": lambda world, slug, asking: world.row(slug, _tariff),
    "version": lambda world, slug, asking: world.row(slug, _policy),
    "announcement_id": lambda world, slug, asking: world.row(slug, _announcement),
    "position": lambda world, slug, asking: world.once(
        "line", slug, lambda session, member: _line(session, member, world.once("statement", slug, _statement))
    ),
    "dispute_id": lambda world, slug, asking: world.once("dispute", slug, _dispute),
}

# Routes to what is one person's own: nobody else reaches it, not even the territory.
PERSONAL = {"account_pages.end_session", "token_pages.revoke", "own_tokens.revoke", "deputies.end", "deputy_pages.end"}

# endpoint: what to send so that the request reaches the row (`json` or `data`, as the test client takes it).
SENT: dict[str, dict[str, Any]] = {
    "disputes.open_": {"json": {"reason": "r"}},
    "disputes.answer": {"json": {"answer": "r"}},
    "disputes.settle": {"json": {"decision": "r", "amount": "-1.00"}},
    "disputes.reject": {"json": {"decision": "r"}},
    "services.replace_keys": {"json": {"keys": [KEY]}},
    "orders.reject": {"json": {"reason": "Trop gros."}},
}


def word(rule: Rule) -> str:
    """What stands in an address for a name that is none of a row: any word, but one that the rule takes."""
    return next((one for one in ("csv", "rates") if f"<any({one}" in rule.rule), "x")
