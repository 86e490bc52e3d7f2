"""How often applications answered, in a month's statement: told, sealed with it, not changed by what comes later."""

from __future__ import annotations

import io
import json
from datetime import date, datetime

import pytest
import sqlalchemy as sa
from openpyxl import load_workbook
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.tables import Service
from orchestrator.tables_entry import Availability
from tenants import exports_xlsx, periods, statements
from tests.tenants.ledger import LATER, PARIS, at
from tests.tenants.test_month import write_month

MONTH = "2026-03"
WEB = {"stack": {"web": {"port": 80, "path": "/"}}}


def measure(session: Session, service: Service, day: date, asked: int, answered: int) -> None:
    session.add(Availability(service_id=service.id, member_id=service.member_id, day=day, asked=asked,
                             answered=answered, asked_at=LATER, good=True))  # fmt: skip


def web(session: Session, name: str, made: datetime) -> Service:
    """An application of the first member with a web address."""
    member_id = session.scalars(sa.select(Service.member_id).order_by(Service.id)).first()
    service = Service(member_id=member_id, name=name, specification=WEB, state="active", created_at=made)
    session.add(service)
    session.flush()
    return service


@pytest.fixture
def member(staff: sa.Engine, owner: sa.Engine) -> str:
    """A member with an application that answered mostly, and with one that nobody measured; the month is drafted."""
    with territory_session(owner, "test") as session:
        declared = write_month(session)
        wiki, _ = web(session, "wiki", at("2026-03-02 12:00")), web(session, "archives", at("2026-01-02 12:00"))
        web(session, "plus-tard", at("2026-04-02 12:00"))
        measure(session, wiki, date(2026, 3, 2), 288, 287)
        measure(session, wiki, date(2026, 3, 31), 288, 288)
        measure(session, wiki, date(2026, 4, 1), 288, 0)
        periods.draft(session, MONTH, declared, LATER, PARIS)
        assert periods.check(session, MONTH) == []
        found = session.execute(sa.text("SELECT slug FROM members WHERE id = :id"), {"id": wiki.member_id})
        return str(found.scalar_one())


def told(engine: sa.Engine, member: str) -> list[tuple[str, int, str | None]]:
    with territory_session(engine, "test") as session:
        [document] = statements.documents(session, periods.find(session, MONTH), member)
        return [(one["service"], one["asked"], one["share"]) for one in document["availability"]]


@pytest.mark.slow
def test_a_draft_tells_what_was_measured_and_what_was_not(staff: sa.Engine, member: str) -> None:
    assert told(staff, member) == [("archives", 0, None), ("wiki", 576, "99.82")]
    with territory_session(staff, "test") as session:
        documents = statements.documents(session, periods.find(session, MONTH))
        assert sum("availability" in one for one in documents) == 1, "others have no such word"
        book = load_workbook(io.BytesIO(exports_xlsx.xlsx_file(MONTH, documents, PARIS)))
        rows = [[cell.value for cell in row][2:6] for row in book["Disponibilité"].iter_rows(min_row=3)]
        assert ["wiki", 576, 575, 0.9982] in rows and ["archives", 0, 0, None] in rows


@pytest.mark.slow
def test_what_is_sealed_does_not_change(staff: sa.Engine, owner: sa.Engine, member: str) -> None:
    with territory_session(staff, "finance") as session:
        periods.close(session, MONTH, LATER)
    sealed = told(staff, member)
    with territory_session(owner, "test") as session:
        session.execute(sa.update(Availability).values(answered=1))
        assert statements.first_break(session) is None
    assert told(staff, member) == sealed == [("archives", 0, None), ("wiki", 576, "99.82")]
    with territory_session(staff, "test") as session:
        [document] = statements.documents(session, periods.find(session, MONTH), member)
        assert json.dumps(document["availability"]), "it is part of what the hash covers"
