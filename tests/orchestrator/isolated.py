"""Rows of a member that whoever acts for it may write: one of each table."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range

import orchestrator.tables as o
import orchestrator.tables_backups as b
import orchestrator.tables_exports as x
import tenants.tables as t
import tenants.tables_approvals as p
import tenants.tables_notices as w
import tenants.tables_requests as r

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def order(member_id: int) -> sa.Insert:
    return sa.insert(t.Order).values(
        member_id=member_id, kind="create", request_key="new", offer_id=1, parameters={}, state="waiting", estimate={},
        monthly=1, placed_by="x",
    )  # fmt: skip


def service(member_id: int) -> sa.Insert:
    return sa.insert(o.Service).values(member_id=member_id, name="mine", specification={})


def entry(member_id: int) -> sa.Insert:
    return sa.insert(o.AuditEntry).values(member_id=member_id, actor="x", action="a", subject="s")


def snapshot(member_id: int) -> sa.Insert:
    return sa.insert(o.Snapshot).values(member_id=member_id, service_id=member_id, name="new", requested_by="x")


def export(member_id: int) -> sa.Insert:
    own = {"member_id": member_id, "service_id": member_id}
    given = {"title": "new", "file": "0" * 64, "papers": {}, "requested_by": "x", "created_at": START}
    return sa.insert(x.Export).values(**own, **given)


def backup(member_id: int) -> sa.Insert:
    own = {"member_id": member_id, "service_id": member_id, "vault_id": member_id}
    return sa.insert(b.Backup).values(**own, archive="new", scheduled=False, requested_by="x", created_at=START)


def deputy(member_id: int) -> sa.Insert:
    return sa.insert(p.Deputy).values(
        member_id=member_id, account_id=1, deputy_id=2, role="finance", during=Range(START, END), made_by="x"
    )


def endpoint(member_id: int) -> sa.Insert:
    return sa.insert(w.Endpoint).values(
        member_id=member_id, label="x", url="https://x.fr/", events=[], secret=b"x", made_by="x", made_at=START
    )


def answer(member_id: int) -> sa.Insert:
    return sa.insert(r.RequestAnswer).values(
        member_id=member_id, asker="x", request_key="x", digest=b"x", status=200, answer=b"x", at=START
    )


ROWS = (order, service, entry, snapshot, backup, export, deputy, endpoint, answer)
