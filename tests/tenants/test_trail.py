"""The audit trail: searched, exported, kept as long as the law wants, and still proved after a purge."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import InvalidInput
from orchestrator.tables import AuditEntry
from tenants import trail
from tenants.tables_administration import AuditPurge
from tenants.trail import Search
from tests.tenants.ordering import member

PARIS = "Europe/Paris"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def entries(owner: sa.Engine) -> None:
    """Twelve entries: ten years old the first nine, of now the others; every third one is of an account."""
    brevaux = member(owner)
    for number in range(12):
        actor = "Hélène" if number % 2 else "=cmd()"
        with territory_session(owner, actor) as session:
            action = "period.close" if number % 3 == 0 else "order.place"
            audit.record(session, action, f"order {number}", member_id=brevaux if number < 6 else None)


def _age(owner: sa.Engine, until: int) -> None:
    """Let the first entries have happened long ago, and the chain be as if they had."""
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        connection.execute(
            sa.text("UPDATE audit_entries SET at = at - interval '10 years' WHERE id <= :n"), {"n": until}
        )
        link = connection.execute(sa.text("SELECT sha256('clocher')")).scalar_one()
        for entry in connection.execute(sa.text("SELECT id FROM audit_entries ORDER BY id")).scalars().all():
            said = {"id": entry, "link": link}
            connection.execute(sa.text("UPDATE audit_entries SET previous_hash = :link WHERE id = :id"), said)
            hashed = "UPDATE audit_entries e SET hash = clocher_audit_hash(:link, e) WHERE id = :id RETURNING hash"
            link = connection.execute(sa.text(hashed), said).scalar_one()
        connection.execute(sa.text("UPDATE audit_head SET hash = :link"), {"link": link})
        connection.execute(sa.text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))


def _found(staff: sa.Engine, search: Search) -> list[int]:
    with territory_session(staff, "test") as session:
        return [int(row["subject"].split()[1]) for row in trail.every(session, search, PARIS)]


def test_entries_are_found_by_what_they_say(entries: None, staff: sa.Engine, owner: sa.Engine) -> None:
    _age(owner, 9)
    assert len(_found(staff, Search())) == 12
    assert _found(staff, Search(actor="hél")) == [11, 9, 7, 5, 3, 1]
    assert _found(staff, Search(action="period.")) == [9, 6, 3, 0]
    assert _found(staff, Search(subject="order 1")) == [11, 10, 1]
    assert _found(staff, Search(member="brevaux")) == [5, 4, 3, 2, 1, 0]
    assert _found(staff, Search(since=date(2020, 1, 1))) == [11, 10, 9]
    assert len(_found(staff, Search(since=date.min, until=date.max))) == 12
    assert _found(staff, Search(until=date(2020, 1, 1)))[0] == 8
    assert _found(staff, Search(actor="%")) == []


def test_pages_follow_each_other(entries: None, staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        first, after = trail.page(session, Search(), PARIS, limit=5)
        rest, end = trail.page(session, Search(), PARIS, after=after, limit=7)
    assert ([row["id"] for row in first + rest], end) == (list(range(12, 0, -1)), None)


def test_exports_hold_every_entry_and_no_formula(entries: None, staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        table = "".join(trail.as_csv(trail.every(session, Search(), PARIS)))
        lines = "".join(trail.as_lines(trail.every(session, Search(), PARIS)))
    rows = list(csv.DictReader(table.removeprefix("\ufeff").splitlines(), delimiter=";"))
    assert len(rows) == 12
    assert {row["actor"] for row in rows} == {"Hélène", "'=cmd()"}
    told = [json.loads(line) for line in lines.splitlines()]
    assert [one["id"] for one in told] == list(range(12, 0, -1))
    assert len(told[0]["hash"]) == 64


def test_a_purge_keeps_accounts_and_the_proof(entries: None, staff: sa.Engine, owner: sa.Engine) -> None:
    _age(owner, 9)
    with territory_session(staff, "test") as session:
        assert audit.first_break(session) is None
        assert session.scalar(sa.text("SELECT clocher_purge_audit()")) == 6
        assert session.scalar(sa.text("SELECT clocher_purge_audit()")) == 0
    with territory_session(staff, "test") as session:
        kept = session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)).all()
        assert kept == ["period.close"] * 4 + ["order.place"] * 2 + ["audit.purge"]
        assert audit.first_break(session) is None
        assert [purge.removed for purge in trail.purges(session)] == [6]
    with territory_session(staff, "later") as session:
        audit.record(session, "order.place", "order 99")
        assert audit.first_break(session) is None


TAMPERED = {
    "a kept entry is changed": "UPDATE audit_entries SET actor = 'x' WHERE id = 1",
    "a kept entry is removed": "DELETE FROM audit_entries WHERE id = 4",
    "a later entry is removed": "DELETE FROM audit_entries WHERE id = 11",
    "the last entry is removed": "DELETE FROM audit_entries WHERE id = 13",
    "the anchor is changed": "UPDATE audit_purges SET last_hash = sha256('x')",
    "the purge is denied": "DELETE FROM audit_purges",
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_tampered_with_is_found_after_a_purge(
    entries: None, staff: sa.Engine, owner: sa.Engine, how: str
) -> None:
    _age(owner, 9)
    with territory_session(staff, "test") as session:
        session.execute(sa.text("SELECT clocher_purge_audit()"))
    with owner.begin() as connection:
        for table in ("audit_entries", "audit_purges"):
            connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        connection.execute(sa.text(TAMPERED[how]))
    with territory_session(staff, "test") as session:
        assert audit.first_break(session) is not None


def test_the_retention_is_bounded_and_logged(staff: sa.Engine) -> None:
    with territory_session(staff, "Hélène") as session:
        for days, reason in ((179, ""), (366, "parce que"), (1096, "un risque documenté dans le registre")):
            with pytest.raises(InvalidInput):
                trail.set_retention(session, days, reason, NOW)
        trail.set_retention(session, 730, "un risque documenté dans le registre", NOW)
    with territory_session(staff, "test") as session:
        assert (trail.retention(session).days, trail.retention(session).set_by) == (730, "Hélène")
        assert session.scalars(sa.select(AuditEntry.action)).all() == ["audit.retention"]


def test_nothing_young_is_purged(entries: None, staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        assert session.scalar(sa.text("SELECT clocher_purge_audit()")) == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(AuditPurge)) == 0
