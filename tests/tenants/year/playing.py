"""Plays the story of the year to the product: each month what was told by then is written, and the month is closed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.tables import Member, Resource, ResourceEvent, Service
from tenants import (
    contracts,
    exports,
    exports_xlsx,
    finance,
    focus,
    focus_files,
    periods,
    pools,
    prices,
    statements,
    vat_rules,
)
from tenants.focus_identity import Identity
from tests.tenants.ledger import Ledger, at
from tests.tenants.year.story import STORY, Data

AFTER = datetime(2025, 1, 15, tzinfo=UTC)
SELF = Identity(name="Vallombre", siret="24000001800012")
SIZES = {"server": ("vcpus", "ram_mib"), "volume": ("disk_gib",), "image": ("disk_gib",), "floating_ip": ()}


@dataclass(frozen=True)
class Month:
    """What the product says of a closed month: its statements, and the files to take away by their kind."""

    documents: list[Data]
    files: dict[str, bytes]


def play(staff: sa.Engine) -> dict[str, Month]:
    """Month by month; raises AssertionError where a month does not prove itself, or the chain of seals breaks."""
    found = {}
    for label in STORY["months"]:
        with territory_session(staff, "test") as session:
            learn(session, label)
            declared = decide(session, label)
            periods.draft(session, label, declared, AFTER, STORY["zone"])
            assert periods.check(session, label) == []
        with territory_session(staff, "finance") as session:
            periods.close(session, label, AFTER)
    with territory_session(staff, "test") as session:
        assert statements.first_break(session) is None
        for label in STORY["months"]:
            found[label] = taken_away(session, label)
    return found


def learn(session: Session, label: str) -> None:
    """Members and facts that are known from that month on."""
    ledger = Ledger(session, {one.slug: one for one in session.scalars(sa.select(Member))})
    for told in STORY["members"]:
        _member(session, ledger, told, label)
    for fact in STORY["facts"]:
        if fact["told"] == label or (label == STORY["months"][0] and fact["told"] < label):
            _fact(session, ledger, fact)
    for one in STORY["failures"]:
        if one["told"] == label:
            service = _service(session, ledger, one)
            service.state, service.changed_at = "failed", sa.func.now()
    session.flush()


def _member(session: Session, ledger: Ledger, told: Data, label: str) -> None:
    if told["first"] > label:
        return
    since = max((month for month in told["population"] if month <= label), default=None)
    population = told["population"].get(since)
    member = ledger.members.get(told["slug"])
    if member is None:
        member = Member(slug=told["slug"], name=told["slug"].title(), kind=told["kind"], siren=told["siret"][:9],
                        siret=told["siret"])  # fmt: skip
        session.add(member)
        ledger.members[told["slug"]] = member
    member.population = population
    member.state = "closed" if told["last"] and told["last"] < label else "active"
    session.flush()


def _service(session: Session, ledger: Ledger, fact: Data) -> Service:
    member = ledger.members[fact["member"]]
    query = sa.select(Service).where(Service.member_id == member.id, Service.name == fact["service"])
    service = session.scalars(query).one_or_none()
    if service is None:
        service = ledger.service(fact["member"], fact["service"])
        service.created_at = at(fact["at"])
        if (fact["member"], fact["service"]) in STORY["applications"]:
            service.specification = {"stack": {}}
    return service


def _fact(session: Session, ledger: Ledger, fact: Data) -> None:
    service = _service(session, ledger, fact)
    query = sa.select(Resource).where(Resource.service_id == service.id, Resource.kind == fact["thing"])
    resource = session.scalars(query).one_or_none()
    if resource is None:
        cloud_id = f"{fact['thing']}-{service.id}"
        resource = Resource(member_id=service.member_id, service_id=service.id, kind=fact["thing"], cloud_id=cloud_id)
        session.add(resource)
        session.flush()
    sizes = dict(zip(SIZES[fact["thing"]], fact["size"], strict=True))
    # What is not late was recorded when it happened: months are closed today, and look for what was told since.
    recorded = {} if fact["late"] else {"recorded_at": at(fact["at"])}
    row = {"resource_id": resource.id, "member_id": resource.member_id, "kind": fact["kind"], "at": at(fact["at"])}
    session.execute(sa.insert(ResourceEvent).values(**row, **sizes, **recorded))


def decide(session: Session, label: str) -> finance.Sharing:
    """Prices, rates, contracts and keys that were adopted by the end of that month; gives these with the costs."""
    for one in STORY["exempt"]:
        regimes = {one["from"]: "exempt", one["until"]: "out_of_scope"}
        if label in regimes:
            contracts.write(session, one["member"], {"since": label, "regime": regimes[label], "reference": "C-10"})
    for one in STORY["costs"]:
        for meter, hourly in one["hourly"].items() if one["since"] == label else ():
            vat_rules.add_cost(session, {**one, "meter": meter, "hourly": hourly, "source": "D-4"})
    for one in STORY["vat"]:
        if one["since"][:7] == label:
            vat_rules.add_rate(session, {**one, "source": "D-5"})
    tariffs = [{**one, "book": f"Tarif {one['from']}"} for one in STORY["prices"] if one["from"][:7] <= label]
    prices.apply(session, finance.PriceBook.model_validate({"tariffs": tariffs}), STORY["zone"])
    keys = [{**one, "deliberation": f"D-{one['from']}"} for one in STORY["keys"] if one["from"][:7] <= label]
    costs = [{**one, "label": {"fr": one["code"].title()}} for one in STORY["pools"]]
    factors = [{"factor": code, "from": since, "value": value, "basis": "estimated", "source": "D-6",
                "read_on": "2024-01-01"} for since, code, value in STORY["factors"]]  # fmt: skip
    declared = finance.Sharing.model_validate({"keys": keys, "pools": costs, "power": {"factors": factors}})
    pools.apply_keys(session, declared)
    return declared


def taken_away(session: Session, label: str) -> Month:
    """A closed month as statements and as files."""
    period = periods.find(session, label)
    documents = statements.documents(session, period)
    files = {
        "csv": exports.csv_file(documents, STORY["zone"]),
        "json": exports.json_file(documents),
        "xlsx": exports_xlsx.xlsx_file(label, documents, STORY["zone"]),
        "focus": focus_files.as_csv(focus.rows(session, period, documents, SELF), "1.2"),
    }
    return Month(documents, files)
