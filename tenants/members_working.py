"""The worker's side of `members_changes`: it alone can look at the cloud.

A worker takes what waits for one, and what a worker that died had begun: every part of the work finds first what is
there, so doing it again does only the rest.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError
from orchestrator.steps import Runtime
from orchestrator.tables import Member, Worker
from tenants import members, members_closing, members_form
from tenants.members import MemberPlan
from tenants.members_changes import find
from tenants.tables_administration import MemberChange

log = structlog.get_logger()

TOLD = 400  # lines of progress that are kept


def work(runtime: Runtime) -> None:
    """A worker's duty: plan and apply what waits, one after the other."""
    while (taken := _take(runtime)) is not None:
        _run(runtime, taken)


def _take(runtime: Runtime) -> MemberChange | None:
    """The oldest change that waits for a worker, or whose worker died; now ours."""
    own = runtime.settings.worker_id
    recent = Worker.seen_at > sa.func.now() - timedelta(seconds=runtime.settings.dead_after_seconds)
    living = sa.select(Worker.id).where(recent, Worker.id != own)
    query = (
        sa.select(MemberChange)
        .where(
            MemberChange.state.in_(("planning", "applying")),
            MemberChange.worker_id.is_(None) | MemberChange.worker_id.not_in(living),
        )
        .order_by(MemberChange.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with territory_session(runtime.engine, _name(runtime)) as session:
        change = session.scalar(query)
        if change is not None:
            change.worker_id = own
        return change


def _name(runtime: Runtime) -> str:
    return f"worker {runtime.settings.worker_id}"


def _run(runtime: Runtime, change: MemberChange) -> None:
    actor = change.confirmed_by or change.requested_by
    try:
        ended = _plan(runtime, change, actor) if change.state == "planning" else _apply(runtime, change, actor)
    except Exception as error:
        known = error if isinstance(error, ClocherError) else _unexpected()
        log.warning("member change failed", change=change.id, code=known.code, detail=known.detail, exc_info=error)
        ended = _failed(known)
    with territory_session(runtime.engine, _name(runtime)) as session:
        row = find(session, change.id, lock=True)
        for name, value in ended.items():
            setattr(row, name, value)
        row.worker_id = None
        if row.state in ("failed", "done"):
            row.ended_at = datetime.now(UTC)
        if row.member_id is None:
            row.member_id = session.scalar(sa.select(Member.id).where(Member.slug == row.slug))
        if row.state == "failed":
            detail = {"change": row.id, "error": row.error_code}
            audit.record(session, "member.fail", f"member {row.slug}", member_id=row.member_id, detail=detail)


def _unexpected() -> ClocherError:
    return ClocherError(
        "internal_error", "Une erreur inattendue s’est produite ; elle est dans le journal.", "Prévenez la DSI."
    )


def _failed(error: ClocherError) -> dict[str, Any]:
    return {"state": "failed", "error_code": error.code, "error_sentence": str(error)}


def _tell(runtime: Runtime, change: MemberChange, line: str) -> None:
    """Add a line to what the page shows; the last ones are kept."""
    with territory_session(runtime.engine, _name(runtime)) as session:
        row = find(session, change.id, lock=True)
        row.told = [*row.told, {"at": datetime.now(UTC).isoformat(), "line": line}][-TOLD:]


def _planned(runtime: Runtime, change: MemberChange, actor: str) -> tuple[members.Plan, MemberPlan]:
    declared = [members_form.read(change.declaration)]
    found = members.plan(runtime.engine, runtime.cloud, declared, actor=actor, tell=lambda _: None, origin="made")
    [member] = found.members
    if member.problem:
        raise member.problem
    return found, member


def _plan(runtime: Runtime, change: MemberChange, actor: str) -> dict[str, Any]:
    _, member = _planned(runtime, change, actor)
    return {"state": "planned", "plan": _document(member)}


def _document(member: MemberPlan) -> dict[str, Any]:
    return {
        "new": member.known is None,
        "cidr": member.cidr,
        "database": [asdict(change) for change in member.database],
        "cloud": [asdict(change) for change in member.cloud],
    }


def _apply(runtime: Runtime, change: MemberChange, actor: str) -> dict[str, Any]:
    if change.kind == "close":
        members_closing.close(runtime.engine, runtime.cloud, change.slug, actor=actor)
        return {"state": "done"}
    found, member = _planned(runtime, change, actor)
    now, shown = _document(member), change.plan or {}
    if any(one not in shown[part] for part in ("database", "cloud") for one in now[part]):
        # Nobody saw this: it is shown, and confirmed again.
        return {
            "state": "planned", "plan": now, "error_code": "plan_changed",
            "error_sentence": "La situation a changé depuis le plan : relisez-le avant de l’appliquer.",
        }  # fmt: skip
    done = members.apply(
        runtime.engine, runtime.cloud, found, actor=actor, tell=lambda line: _tell(runtime, change, line)
    )
    error = next((one.error for one in done if one.error), None)
    return _failed(error) if error else {"state": "done"}
