"""The duty that carries planned upgrades out: tells members, proves a backup in time, begins in the window, reports.

Never outside the window, never with another version than was told, never without a proof of the day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import FLOW_LIVE, Flow, Service
from orchestrator.tables_backups import Backup
from tenants import backups, schedules, upgrades, upgrades_planned
from tenants.tables_upgrades import PLAN_OPEN, PlannedUpgrade
from tenants.upgrades_planned import Rules

log = structlog.get_logger()

AHEAD = timedelta(hours=6)  # before the window: when a proof is looked for and made
EARLY = timedelta(hours=1)  # than notice says: told a moment late, it would have to wait for another window
ENOUGH = timedelta(minutes=30)  # of the window: with less left none begins


def work(session: Session, settings: Settings, at: datetime) -> list[int]:
    """One round: each open upgrade does what its time has come for; the ids of those of which something changed."""
    rules, most = Rules.of(settings), settings.snapshots_per_service
    rows = session.scalars(
        sa.select(PlannedUpgrade)
        .where(PlannedUpgrade.state.in_(PLAN_OPEN))
        .order_by(PlannedUpgrade.starts_at, PlannedUpgrade.id)
        .with_for_update(skip_locked=True)
    ).all()
    return [row.id for row in rows if _advance(session, row, at, rules, most)]


def _advance(session: Session, row: PlannedUpgrade, at: datetime, rules: Rules, most: int) -> bool:
    service = session.get_one(Service, row.service_id)
    if row.state == "started":
        return _report(session, row, at)
    if (moot := _moot(session, row, service, at)) is not None:
        upgrades_planned.end(session, row, *moot)
        return True
    if row.told_at is None:
        return _tell(session, row, at, rules)
    if at > row.ends_at - ENOUGH:
        return _miss(session, row, at, rules)
    if at < row.starts_at - AHEAD or _busy(session, row):
        return False
    if not _proved(session, service, max(at, row.starts_at)):
        return _prove(session, row, at)
    return at >= row.starts_at and _begin(session, row, at, most)


def _moot(
    session: Session, row: PlannedUpgrade, service: Service, at: datetime
) -> tuple[str, datetime, str | None] | None:
    """How it ends without us: somebody did it, the service goes, or another version is offered than was told."""
    if service.specification["stack"]["version"] == row.version:
        return "done", at, "done_before"
    if service.state not in schedules.LIVING or service.delete_after is not None:
        return None if _busy(session, row) else ("cancelled", at, "service_gone")
    if _busy(session, row):
        return None
    found = upgrades.newer(session, service, at)
    return None if found is not None and found.version == row.version else ("cancelled", at, "other_version")


def _busy(session: Session, row: PlannedUpgrade) -> bool:
    live = sa.exists().where(Flow.service_id == row.service_id, Flow.state.in_(FLOW_LIVE))
    return bool(session.scalar(sa.select(live)))


def _tell(session: Session, row: PlannedUpgrade, at: datetime, rules: Rules) -> bool:
    """Announce it when its time has come; what could not be told in time comes in a later window."""
    if at < row.not_before - rules.notice - EARLY:
        return False
    if row.starts_at < at + rules.notice:
        upgrades_planned.move(session, row, at + rules.notice, rules)
    row.told_at = at
    _record(session, row, "upgrade.announce")
    return True


def _record(session: Session, row: PlannedUpgrade, action: str, why: str | None = None) -> None:
    session.flush()
    detail = {"upgrade": row.id, "version": row.version, "starts_at": row.starts_at.isoformat(), "why": why}
    audit.record(session, action, f"service {row.service_id}", member_id=row.member_id, detail=detail)


def _miss(session: Session, row: PlannedUpgrade, at: datetime, rules: Rules) -> bool:
    """Its window is over: the member's next one."""
    why, row.said = row.said or "busy", None
    upgrades_planned.move(session, row, max(at, row.ends_at), rules)
    _record(session, row, "upgrade.miss", why)
    return True


def _proved(session: Session, service: Service, at: datetime) -> bool:
    """Whether an upgrade at this instant has the proof that it needs."""
    try:
        upgrades.check_proof(session, service, at)
    except Conflict:
        return False
    return True


def _prove(session: Session, row: PlannedUpgrade, at: datetime) -> bool:
    """Queue the proof of the newest good backup, or the backup itself; once for each window when it fails."""
    since = row.starts_at - AHEAD
    mine = Backup.service_id == row.service_id
    failed = sa.exists().where(mine, (Backup.unproved_at >= since)
                               | ((Backup.state == "failed") & (Backup.created_at >= since)))  # fmt: skip
    if session.scalar(sa.select(failed)):
        return _said(session, row, "no_proof")
    newest = session.scalar(
        sa.select(sa.func.max(Backup.id)).where(mine, Backup.state == "ready", Backup.meters.is_not(None))
    )
    try:
        with session.begin_nested():
            if newest is None:
                backups.back_up(session, row.service_id, at, scheduled=True)
            else:
                backups.prove(session, row.service_id, newest)
    except Conflict as refused:
        return _said(session, row, refused.code)
    return True


def _said(session: Session, row: PlannedUpgrade, code: str) -> bool:
    """Keep what prevents it; whether that is new."""
    if row.said == code:
        return False
    row.said = code
    session.flush()
    return True


def _begin(session: Session, row: PlannedUpgrade, at: datetime, most: int) -> bool:
    try:
        with session.begin_nested():
            flow = upgrades.upgrade(session, row.service_id, at, most=most)
    except Conflict as refused:
        return _said(session, row, refused.code)
    row.state, row.flow_id, row.said = "started", flow.id, None
    _record(session, row, "upgrade.begin")
    return True


def _report(session: Session, row: PlannedUpgrade, at: datetime) -> bool:
    """Tell how it went, once its operation has ended."""
    flow = session.get_one(Flow, row.flow_id)
    if flow.state in FLOW_LIVE:
        return False
    good = flow.state == "done"
    upgrades_planned.end(session, row, "done" if good else "failed", at, None if good else flow.error_code)
    return True


def run(runtime: Runtime) -> None:
    """The duty."""
    with territory_session(runtime.engine, f"worker {runtime.settings.worker_id}") as session:
        changed = work(session, runtime.settings, datetime.now(UTC))
    if changed:
        log.info("planned upgrades", changed=changed)
