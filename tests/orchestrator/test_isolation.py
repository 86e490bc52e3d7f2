"""A member sees and changes its own rows only, whatever SQL its session sends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from orchestrator.database import ROLES, Base, door_session, member_session, territory_session
from orchestrator.tables import AuditEntry, Service, Snapshot
from orchestrator.tables_backups import Backup
from orchestrator.tables_exports import Export
from tenants.tables import Order
from tenants.tables_approvals import Deputy
from tenants.tables_notices import Endpoint
from tenants.tables_requests import RequestAnswer
from tests.orchestrator.two_members import END, OTHER, OWN, START, fill

DENIED = "42501"  # insufficient privilege; so is a row that the policy refuses
# What the portal has no business to read, even of its own member.
NOT_FOR_WEB = {"sessions", "member_changes", "cloud_usage", "budget_marks", "usage_check_servers"}
NOT_FOR_STAFF = {"sessions", "budget_marks"}
NOT_FOR_WORKER = {"billing_modes", "sessions", "tokens", "announcements", "usage_check_servers"}


def _secured() -> list[str]:
    """The models' tables that hold members' rows."""
    return sorted(name for name, table in Base.metadata.tables.items() if "member_id" in table.c)


@pytest.fixture
def two(owner: sa.Engine) -> None:
    """Two members, each with a row in every table that holds members' rows."""
    with Session(owner, info={"actor": "test"}) as session, session.begin():
        fill(session)


# What an injected statement might try; all refused for want of a privilege.
DOORS = (
    "ALTER TABLE services DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE services NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY own_rows ON services",
    "CREATE POLICY all_rows ON services USING (true)",
    "SET ROLE clocher_staff",
    "SET ROLE clocher_territory",
    "SET SESSION AUTHORIZATION clocher_staff",
    "GRANT clocher_territory TO clocher_web",
    "ALTER ROLE clocher_web BYPASSRLS",
    "CREATE FUNCTION public.clocher_territory() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    "SET row_security = off; SELECT * FROM services",
    "SELECT * FROM tokens",
    "SELECT digest FROM tokens",
    "SELECT * FROM sessions",
    "SELECT * FROM credentials",
    "SELECT * FROM account_links",
    "SELECT * FROM recovery_codes",
    "SELECT * FROM identities",
    "SELECT * FROM failures",
    "DELETE FROM requests",
    "INSERT INTO accounts (email, name) VALUES ('x@y.fr', 'X')",
    "UPDATE accounts SET state = 'active'",
    "INSERT INTO account_links (account_id, digest, expires_at) VALUES (1, 'x', now())",
    "INSERT INTO account_roles (account_id, role, member_id, granted_by) VALUES (1, 'requester', 2, 'x')",
    "INSERT INTO account_roles (account_id, role, granted_by) VALUES (1, 'dsi_admin', 'x')",
    "SET ROLE clocher_door",
    "SELECT * FROM dbos.workflow_status",
    "SELECT * FROM audit_head",
    "DELETE FROM services",
    "TRUNCATE services",
    "UPDATE quotas SET servers = 1000",
    "UPDATE members SET state = 'active'",
    "UPDATE orders SET monthly = 0",
    "UPDATE services SET member_id = 2",
    "UPDATE services SET state = 'active'",
    "INSERT INTO members (slug, name, kind, siren, siret) SELECT 'x', 'X', kind, siren, siret FROM members",
    "COPY services TO PROGRAM 'cat'",
    "SELECT receiver FROM mails",
    "UPDATE mails SET state = 'queued'",
    "SELECT * FROM notice_marks",
    "SELECT * FROM price_drafts",
    "SELECT * FROM hypervisors",
    "UPDATE policies SET document = '{}'",
    "INSERT INTO announcements (level, title, body, starts_at, made_by) VALUES ('info', '{}', '{}', now(), 'x')",
    "UPDATE approvals SET state = 'granted', decided_by = 'x', decided_at = now()",  # a step of the DSI
    "UPDATE approvals SET step = 'approver'",
    "DELETE FROM approvals",
    "UPDATE deputies SET deputy_id = 1",
    "UPDATE cost_days SET amount = 0",
    "UPDATE cost_services SET amount = 0",
    "UPDATE exports SET file = repeat('0', 64)",
    "UPDATE snapshots SET state = 'active'",
    "UPDATE backups SET state = 'ready'",
    "SELECT passphrase, private_key FROM backup_clients",
    "UPDATE backup_clients SET vault_id = NULL",
    "UPDATE audit_retention SET days = 1",
    "SELECT clocher_purge_audit()",
    "SELECT routes FROM entries",
    "DELETE FROM entries",
    "UPDATE availability SET answered = asked",
    "UPDATE service_secrets SET sealed = 'x'",
    "INSERT INTO service_secrets (service_id, name, member_id, sealed) VALUES (1, 'x', 1, 'x')",
)


@contextmanager
def _refused(statement: str) -> Iterator[None]:
    with pytest.raises(DBAPIError) as refused:
        yield
    assert refused.value.orig.sqlstate == DENIED, statement  # type: ignore[union-attr]


def _members(session: Session, table: str) -> set[int]:
    """Whose rows a session sees in a table, by raw SQL."""
    column = "id" if table == "members" else "member_id"
    return set(session.scalars(sa.text(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL")))


def test_every_table_of_members_is_secured(owner: sa.Engine) -> None:
    """By the catalog, not by our models: a table that comes later must have its policy too.

    One that permits: permissive policies add up. Restrictive ones only take away.
    """
    with owner.connect() as connection:
        found = connection.execute(
            sa.text(
                "SELECT c.relname, c.relrowsecurity, count(p.oid) FILTER (WHERE p.polpermissive) AS policies"
                " FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'"
                " JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped"
                " LEFT JOIN pg_policy p ON p.polrelid = c.oid"
                " WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v')"
                " AND (a.attname = 'member_id' OR c.relname = 'members' AND a.attname = 'id')"
                " GROUP BY c.relname, c.relrowsecurity"
            )
        ).all()
    assert {row.relname for row in found} >= {*_secured(), "members"}
    assert [row.relname for row in found if not row.relrowsecurity or row.policies != 1] == []


def test_our_roles_can_not_bypass_the_policies(owner: sa.Engine) -> None:
    with owner.connect() as connection:
        for role in ROLES:
            row = connection.execute(
                sa.text(
                    "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,"
                    " (SELECT count(*) FROM pg_class WHERE relowner = r.oid) AS owned,"
                    " pg_has_role(r.oid, 'clocher_territory', 'member') AS territory"
                    " FROM pg_roles r WHERE rolname = :role"
                ),
                {"role": role},
            ).one()
            assert not any(row[:5]), role
            assert row.territory == (role in ("clocher_staff", "clocher_worker"))


def test_the_fixture_leaves_no_table_out(two: None, owner: sa.Engine) -> None:
    with Session(owner) as session:
        assert [table for table in _secured() if _members(session, table) != {OWN, OTHER}] == []


def test_a_member_sees_only_its_rows(two: None, web: sa.Engine) -> None:
    with member_session(web, OWN, "test") as session:
        for table in {*_secured(), "members"} - NOT_FOR_WEB:
            assert _members(session, table) == {OWN}, table


def test_naming_the_territory_gives_a_member_nothing(two: None, web: sa.Engine) -> None:
    with member_session(web, OWN, "test") as session:
        session.execute(sa.text("SET clocher.scope = 'territory'"))
        for table in {*_secured(), "members"} - NOT_FOR_WEB:
            assert _members(session, table) == set(), table


@pytest.mark.parametrize("role", ["web", "staff", "worker"])
def test_without_a_name_nobody_sees_anything(two: None, role: str, request: pytest.FixtureRequest) -> None:
    engine: sa.Engine = request.getfixturevalue(role)
    hidden = {"web": NOT_FOR_WEB, "worker": NOT_FOR_WORKER, "staff": NOT_FOR_STAFF}[role]
    with Session(engine) as session:
        for table in {*_secured(), "members"} - hidden:
            assert _members(session, table) == set(), table


def test_a_name_ends_with_its_transaction(two: None, web: sa.Engine) -> None:
    with member_session(web, OWN, "test") as session:
        backend = session.scalar(sa.text("SELECT pg_backend_pid()"))
    with Session(web) as session:
        assert session.scalar(sa.text("SELECT pg_backend_pid()")) == backend  # the pool gave the same connection
        assert _members(session, "services") == set()


@pytest.mark.parametrize("role", ["staff", "worker"])
def test_the_territory_sees_all(two: None, role: str, request: pytest.FixtureRequest) -> None:
    hidden = {"worker": NOT_FOR_WORKER, "staff": NOT_FOR_STAFF}[role]
    with territory_session(request.getfixturevalue(role), "test") as session:
        for table in {*_secured(), "members"} - hidden:
            assert _members(session, table) == {OWN, OTHER}, table


@pytest.mark.slow
@pytest.mark.parametrize("role", ["web", "staff", "worker", "door"])
def test_what_is_hidden_from_a_role_is_refused(two: None, role: str, request: pytest.FixtureRequest) -> None:
    """Not empty but refused: the role has no privilege at all on these tables."""
    engine: sa.Engine = request.getfixturevalue(role)
    at_the_door = {"sessions", "tokens", "account_roles", "members", "request_answers"}
    hidden = {"web": NOT_FOR_WEB, "worker": NOT_FOR_WORKER, "staff": NOT_FOR_STAFF, "door": {*_secured()} - at_the_door}
    for table in hidden[role]:
        with _refused(table), Session(engine) as session:
            _members(session, table)


def test_a_member_knows_only_its_people(two: None, web: sa.Engine) -> None:
    with member_session(web, OWN, "test") as session:
        assert set(session.scalars(sa.text("SELECT email FROM accounts"))) == {f"a{OWN}@m.fr"}
        assert session.scalar(sa.text("SELECT count(*) FROM notice_choices")) == 1
    with Session(web) as session:
        session.execute(sa.text("SET clocher.scope = 'door'"))
        assert session.scalars(sa.text("SELECT email FROM accounts")).all() == []


def test_the_door_sees_people_and_nothing_else(two: None, door: sa.Engine) -> None:
    with door_session(door, "test") as session:
        # Answers to requests are sealed: they are there for the one to a token that was made here.
        for table in ("sessions", "tokens", "account_roles", "members", "request_answers"):
            assert _members(session, table) == {OWN, OTHER}, table
    with Session(door) as session:
        assert _members(session, "sessions") == set()
    for statement in ("SELECT * FROM services", "SELECT * FROM orders", "SELECT * FROM audit_entries",
                      "INSERT INTO account_roles (account_id, role, granted_by) VALUES (1, 'dsi_admin', 'x')",
                      "UPDATE members SET state = 'active'", "DELETE FROM accounts"):  # fmt: skip
        with _refused(statement), door_session(door, "test") as session:
            session.connection().exec_driver_sql(statement)


def test_a_member_can_not_open_the_door(two: None, web: sa.Engine) -> None:
    for statement in DOORS:
        with _refused(statement), member_session(web, OWN, "test") as session:
            session.connection().exec_driver_sql(statement)


def test_the_territory_does_not_read_what_opens_an_application(two: None, staff: sa.Engine) -> None:
    for secret in ("sealed FROM service_secrets", "passphrase FROM backup_clients", "private_key FROM backup_clients"):
        with _refused(secret), territory_session(staff, "test") as session:
            session.execute(sa.text(f"SELECT {secret}"))


def test_a_change_touches_only_its_own_rows(two: None, web: sa.Engine) -> None:
    with member_session(web, OWN, "test") as session:
        for change in ("orders SET reason = 'mine'", "flows SET cancel_requested = true"):
            assert session.scalars(sa.text(f"UPDATE {change} RETURNING member_id")).all() == [OWN]


def _order(member_id: int) -> sa.Insert:
    return sa.insert(Order).values(
        member_id=member_id, kind="create", request_key="new", offer_id=1, parameters={}, state="waiting", estimate={},
        monthly=1, placed_by="x",
    )  # fmt: skip


def _service(member_id: int) -> sa.Insert:
    return sa.insert(Service).values(member_id=member_id, name="mine", specification={})


def _entry(member_id: int) -> sa.Insert:
    return sa.insert(AuditEntry).values(member_id=member_id, actor="x", action="a", subject="s")


def _snapshot(member_id: int) -> sa.Insert:
    return sa.insert(Snapshot).values(member_id=member_id, service_id=member_id, name="new", requested_by="x")


def _backup(member_id: int) -> sa.Insert:
    own = {"member_id": member_id, "service_id": member_id, "vault_id": member_id}
    return sa.insert(Backup).values(**own, archive="new", scheduled=False, requested_by="x", created_at=START)


def _export(member_id: int) -> sa.Insert:
    given = {"title": "new", "file": "0" * 64, "papers": {}, "requested_by": "x", "created_at": START}
    return sa.insert(Export).values(member_id=member_id, service_id=member_id, **given)


def _deputy(member_id: int) -> sa.Insert:
    return sa.insert(Deputy).values(
        member_id=member_id, account_id=1, deputy_id=2, role="finance", during=Range(START, END), made_by="x"
    )


def _endpoint(member_id: int) -> sa.Insert:
    return sa.insert(Endpoint).values(
        member_id=member_id, label="x", url="https://x.fr/", events=[], secret=b"x", made_by="x", made_at=START
    )


def _answer(member_id: int) -> sa.Insert:
    return sa.insert(RequestAnswer).values(
        member_id=member_id, asker="x", request_key="x", digest=b"x", status=200, answer=b"x", at=START
    )


def test_a_member_writes_only_in_its_own_name(two: None, web: sa.Engine) -> None:
    for row in (_order, _service, _entry, _snapshot, _backup, _export, _deputy, _endpoint, _answer):
        with member_session(web, OWN, "test") as session:
            session.execute(row(OWN))
        with _refused(row.__name__), member_session(web, OWN, "test") as session:
            session.execute(row(OTHER))
