"""The demo's accounts: tokens, the real minutes as a draft, a sample month closed, our hours beside Nova's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from api.demo.stage import Stage
from api.output import euros
from orchestrator import cloud, cloud_servers
from orchestrator.database import connect, territory_session
from orchestrator.errors import ClocherError
from orchestrator.settings import Settings
from orchestrator.tables import Place, Resource
from tenants import comparison, exports, finance, periods, reading, sample, statements, tokens
from tenants.tables import Period

ACTOR = "démo"
TOLERANCE = Decimal(2) / 3600  # hours: our figures and Nova's may differ by two seconds


def state(settings: Settings, stage: Stage, folder: Path) -> None:
    """Draft the running month from the real minutes, close a sample month, write both as files."""
    engine = connect(settings, "clocher_staff")
    now = datetime.now(UTC)
    declared = finance.sharing(settings.territory_dir)
    with stage.phase("statements", "Les relevés"):
        with territory_session(engine, ACTOR) as session:
            period = periods.draft(session, periods.label_of(now, settings.timezone), declared, now, settings.timezone)
            stage.record["statements"] = _publish(session, period, stage, folder, settings)
        with territory_session(engine, ACTOR) as session:
            month = _sample_month(session, settings, now)
            period = sample.build(session, month, declared, now, settings.timezone)
            _close(session, period, now)
            stage.record["sample"] = _publish(session, period, stage, folder, settings)
    engine.dispose()


def make_tokens(settings: Settings, members: Iterable[str]) -> dict[str, str]:
    """A token that lives for a day for each member; the secrets by member."""
    engine = connect(settings, "clocher_staff")
    with territory_session(engine, ACTOR) as session:
        made = {
            slug: tokens.make(
                session, ACTOR, 1, datetime.now(UTC), member_id=reading.member(session, slug).id,
                scopes=("read", "order", "operate"), roles=("requester",),
            )[1]
            for slug in members
        }  # fmt: skip
    engine.dispose()
    return made


def _sample_month(session: Session, settings: Settings, now: datetime) -> str:
    """The sample of an earlier demo, else the month before this one."""
    existing = session.scalar(sa.select(Period.label).where(Period.sample).order_by(Period.label.desc()).limit(1))
    this = periods.bounds(periods.label_of(now, settings.timezone), settings.timezone)
    assert this.lower
    return existing or periods.label_of(this.lower - timedelta(days=1), settings.timezone)


def _close(session: Session, period: Period, now: datetime) -> None:
    if period.state == "closed":
        return
    found = periods.check(session, period.label)
    if found:
        raise ClocherError("demo_failed", f"Le relevé d’exemple ne se vérifie pas : {found[0]}", "")
    periods.close(session, period.label, now)


def _publish(session: Session, period: Period, stage: Stage, folder: Path, settings: Settings) -> list[dict[str, str]]:
    documents = statements.documents(session, period)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, content in (
        ("csv", exports.csv_file(documents, settings.timezone)),
        ("json", exports.json_file(documents)),
    ):
        (folder / exports.file_name(period.label, period.sample, None, kind)).write_bytes(content)
    totals = [{"member": d["member"]["slug"], "total": str(d["total"])} for d in documents]
    whole = sum((Decimal(t["total"]) for t in totals), Decimal(0))
    words = {"draft": "brouillon", "closed": "clos"}
    label = f"{period.label}{' (exemple inventé)' if period.sample else ''}"
    stage.say(f"{label} : {len(totals)} relevés, {euros(whole)}, {words.get(period.state, period.state)}")
    return totals


def compare(settings: Settings, stage: Stage, services: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each server's hours, ours and Nova's own; a difference of more than two seconds is a failure."""
    names = {service["id"]: service["name"] for service in services}
    until = datetime.now(UTC)
    since = until - timedelta(days=1)
    engine = connect(settings, "clocher_staff")
    with stage.phase("hours", "Nos heures, et celles que Nova compte"):
        with territory_session(engine, ACTOR) as session:
            servers = session.scalars(
                sa.select(Resource).where(Resource.kind == "server", Resource.service_id.in_(names))
            ).all()
            named = {server.cloud_id: names[server.service_id] for server in servers}
            members = {server.member_id for server in servers}
            projects = session.scalars(sa.select(Place.project_id).where(Place.member_id.in_(members))).all()
        told = [told for project in projects for told in _usage(settings, project, since, until)]
        with territory_session(engine, ACTOR) as session:
            rows = [row for row in comparison.compare(session, told, since, until) if row.server in named]
        for row in rows:
            seconds = abs(row.difference) * 3600
            stage.say(
                f"{named[row.server]:<16} nous {row.ours:.5f} h, Nova {row.cloud:.5f} h, écart {seconds:.2f} s".replace(
                    ".", ","
                )
            )
    engine.dispose()
    if not rows or any(abs(row.difference) > TOLERANCE for row in rows):
        raise ClocherError("demo_failed", "Nos heures et celles de Nova diffèrent de plus de deux secondes.", "")
    return [
        {
            "server": named[row.server],
            "ours": f"{row.ours:.6f}",
            "nova": f"{row.cloud:.6f}",
            "running_since": row.running_since.isoformat() if row.running_since else None,
        }
        for row in rows
    ]


def _usage(settings: Settings, project: str, since: datetime, until: datetime) -> list[comparison.Told]:
    usages = cloud_servers.list_usage(cloud.connect(settings), project, since, until)
    return [(one.server_id, one.started_at, one.ended_at) for one in usages if one.started_at]
