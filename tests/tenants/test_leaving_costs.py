"""What a service cost, as it goes along with its data: to the cent what its statements say, closed or not."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from orchestrator.database import territory_session
from orchestrator.tables import Member, Service
from tenants import costs, export_costs, exports
from tenants.statements import Document
from tenants.tables import Statement, StatementLine
from tests.tenants.ledger import LATER, PARIS, at
from tests.tenants.test_costs import draft_and_close
from tests.tenants.test_month import write_month


def documents(staff: sa.Engine, service_id: int) -> list[Document]:
    with territory_session(staff, "test") as session:
        service = session.get_one(Service, service_id)
        service.created_at = at("2026-03-01 00:00")
        return export_costs.documents(session, service, session.get_one(Member, service.member_id), LATER, PARIS)


@pytest.mark.slow
def test_it_is_what_the_statement_says(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        write_month(session)
        service = session.scalars(sa.select(Service).join(Member).where(Member.slug == "aubrac")).first()
        assert service
        known = costs.month(session, service.member_id, "2026-03", LATER, PARIS, service_id=service.id).amount
    drafts = {month["period"]: month for month in documents(staff, service.id)}
    assert drafts["2026-03"]["state"] == "draft" and known > 0
    assert drafts["2026-03"]["total"] == str(known)
    draft_and_close(staff)
    closed, *_ = documents(staff, service.id)
    with territory_session(staff, "test") as session:
        lines = session.scalars(sa.select(StatementLine.amount).where(StatementLine.service_id == service.id)).all()
        whole = session.scalar(sa.select(Statement.hash).where(Statement.member_id == service.member_id))
    assert (closed["period"], closed["state"], closed["statement_hash"]) == ("2026-03", "closed", whole)
    assert closed["total"] == str(sum(lines)) == str(known)
    assert [line["amount"] for line in closed["lines"]] == [line["amount"] for line in drafts["2026-03"]["lines"]]
    assert "PROJET" not in exports.csv_file([closed], PARIS).decode()
