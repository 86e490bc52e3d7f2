"""Upgrades that the DSI plans: in each member's window, told days before, put off once by the member.

`tenants.upgrades_working` tells, proves, begins and reports them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from orchestrator.settings import Settings
from orchestrator.tables import Member, Service
from tenants import reading, schedules, upgrades, windows
from tenants.tables import Offer
from tenants.tables_upgrades import PLAN_OPEN, PlannedUpgrade

POSTPONED = timedelta(days=14)  # what putting off gives, at least
FURTHEST = timedelta(days=366)  # from today on: by then other versions are offered
LONGEST_REASON = 500  # characters
MOST = 200  # rows of the list
PUBLISHED = (Offer.state == "published") & (Offer.kind == "stack")
RUNNING = Service.specification["stack"]["version"].as_string()


@dataclass(frozen=True)
class Rules:
    """What the installation says. notice: how long before members are told; territory: where its window is declared."""

    notice: timedelta
    territory: Path
    timezone: str

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Those of the settings."""
        return cls(timedelta(days=settings.upgrade_notice_days), settings.territory_dir, settings.timezone)

    def place(self, session: Session, member_id: int, since: datetime) -> tuple[datetime, datetime]:
        """The first window of a member from an instant on."""
        return windows.opening(windows.of(session, member_id, self.territory).window, since, self.timezone)


def plan(
    session: Session, slug: str, at: datetime, rules: Rules, *, day: date | None = None, dry_run: bool = False
) -> list[dict[str, Any]]:
    """Plan the upgrade of every service of an offer that has an older version, each in its member's first window.

    day: not before it; None: as soon as its member has been told. dry_run: nothing is written. The rows as `listed`
    gives them, by instant; id None in a dry run. Raises Conflict nothing_to_plan, InvalidInput day_over or day_too_far.
    """
    today = at.astimezone(ZoneInfo(rules.timezone)).date()
    if day is not None and day < today:
        raise InvalidInput("day_over", "Ce jour est passé.", "Choisissez un jour à venir, ou n’en donnez pas.")
    if day is not None and day > today + FURTHEST:
        raise InvalidInput("day_too_far", "Ce jour est à plus d’un an.", "Choisissez un jour plus proche.")
    offer = session.scalar(sa.select(Offer).where(Offer.slug == slug, PUBLISHED))
    older = _older(session, offer, at) if offer else []
    made = [_plan(session, service, found, at, rules, day) for service, found in older]
    if not made:
        called = offer.title if offer else slug
        raise Conflict(
            "nothing_to_plan",
            Text("Aucun service de l’offre « {offer} » n’attend de version plus récente.", offer=called),
            "Publiez d’abord la nouvelle version, ou voyez ce qui est déjà prévu.",
        )
    if not dry_run:
        _keep(session, made)
    return sorted((show(session, row) for row in made), key=lambda row: (row["starts_at"], row["service_id"]))


def _keep(session: Session, made: list[PlannedUpgrade]) -> None:
    session.add_all(made)
    session.flush()
    for row in made:
        detail = {"upgrade": row.id, "version": row.version, "starts_at": row.starts_at.isoformat()}
        audit.record(session, "upgrade.plan", f"service {row.service_id}", member_id=row.member_id, detail=detail)


def _older(session: Session, offer: Offer, at: datetime) -> list[tuple[Service, upgrades.Newer]]:
    """The living services of an offer that something newer is offered for and nothing is planned for."""
    known = sa.exists().where(PlannedUpgrade.service_id == Service.id, PlannedUpgrade.state.in_(PLAN_OPEN))
    versions = (offer.stack or {}).get("versions") or [{"version": None}]  # none: it waits for its source
    living = session.scalars(
        sa.select(Service)
        .where(Service.specification["offer"].as_string() == offer.slug, versions[0]["version"] != RUNNING,
               Service.state.in_(schedules.LIVING), Service.delete_after.is_(None), ~known)
        .order_by(Service.id)
    )  # fmt: skip
    found = ((service, upgrades.newer(session, service, at)) for service in living)
    return [(service, newer) for service, newer in found if newer is not None]


def _plan(
    session: Session, service: Service, found: upgrades.Newer, at: datetime, rules: Rules, day: date | None
) -> PlannedUpgrade:
    told = at + rules.notice
    since = max(told, datetime.combine(day, time(0), ZoneInfo(rules.timezone)).astimezone(UTC)) if day else told
    begins, ends = rules.place(session, service.member_id, since)
    brings = [{"version": one["version"], "brings": one.get("brings")} for one in found.versions]
    return PlannedUpgrade(
        member_id=service.member_id, service_id=service.id, version=found.version, brings=brings, state="planned",
        not_before=since, starts_at=begins, ends_at=ends, planned_by=session.info["actor"], planned_at=at,
    )  # fmt: skip


def show(session: Session, row: PlannedUpgrade) -> dict[str, Any]:
    """One row as `listed` gives it."""
    service, member = session.get_one(Service, row.service_id), session.get_one(Member, row.member_id)
    columns = {column.name: getattr(row, column.name) for column in PlannedUpgrade.__table__.columns}
    return columns | {"name": service.name, "member": member.slug, "member_name": member.name,
                      "running": service.specification.get("stack", {}).get("version")}  # fmt: skip


def listed(session: Session, *, open_only: bool = False, service_id: int | None = None) -> list[dict[str, Any]]:
    """What is planned and then what ended, the newest of each first to come; a member's session sees its own.

    Each has the columns of PlannedUpgrade and `name`, `running` (the version that the service has), `member`,
    `member_name`.
    """
    query = (
        sa.select(*PlannedUpgrade.__table__.columns, Service.name, Member.slug.label("member"),
                  Member.name.label("member_name"), RUNNING.label("running"))
        .join(Service, Service.id == PlannedUpgrade.service_id)
        .join(Member, Member.id == PlannedUpgrade.member_id)
        .order_by(PlannedUpgrade.ended_at.desc().nulls_first(), PlannedUpgrade.starts_at, PlannedUpgrade.id)
        .limit(MOST)
    )  # fmt: skip
    if open_only:
        query = query.where(PlannedUpgrade.state.in_(PLAN_OPEN))
    if service_id is not None:
        query = query.where(PlannedUpgrade.service_id == service_id)
    return [dict(row) for row in session.execute(query).mappings()]


def of(session: Session, service_id: int, *, lock: bool = False) -> PlannedUpgrade | None:
    """What is planned for a service, or the last that was; locked until the transaction ends if asked."""
    query = sa.select(PlannedUpgrade).where(PlannedUpgrade.service_id == service_id)
    query = query.order_by(PlannedUpgrade.id.desc()).limit(1)
    return session.scalar(query.with_for_update().execution_options(populate_existing=True) if lock else query)


def plannable(session: Session, at: datetime) -> list[tuple[Offer, int]]:
    """The published offers that have services with an older version, and how many; what is planned does not count."""
    offers = session.scalars(sa.select(Offer).where(PUBLISHED).order_by(Offer.slug)).all()
    counted = [(offer, len(_older(session, offer, at))) for offer in offers]
    return [(offer, count) for offer, count in counted if count]


def postpone(session: Session, service_id: int, reason: str, at: datetime, rules: Rules) -> PlannedUpgrade:
    """Put a service's planned upgrade off, once: to its member's first window 14 days after the one that was told.

    Raises not_found, InvalidInput reason_missing, Conflict not_planned or postponed_already.
    """
    service = reading.find(session, Service, service_id)
    if not 0 < len(reason.strip()) <= LONGEST_REASON:
        raise InvalidInput(
            "reason_missing",
            Text("Dites pourquoi, en {most} caractères au plus.", most=LONGEST_REASON),
            "Donnez une raison : la DSI la lira.",
        )
    row = postponable(session, service, lock=True)  # the worker locks it first too, and then the service
    row.postponed_at, row.reason = at, reason.strip()
    move(session, row, row.starts_at + POSTPONED, rules)
    detail = {"upgrade": row.id, "version": row.version, "reason": row.reason, "starts_at": row.starts_at.isoformat()}
    audit.record(session, "upgrade.postpone", f"service {service.id}", member_id=row.member_id, detail=detail)
    return row


def postponable(session: Session, service: Service, *, lock: bool = False) -> PlannedUpgrade:
    """What may be put off of a service. Raises Conflict not_planned or postponed_already."""
    row = of(session, service.id, lock=lock)
    if row is None or row.state != "planned":
        raise Conflict(
            "not_planned",
            Text("Aucune mise à jour de « {name} » n’est prévue, ou elle a commencé.", name=service.name),
            "Voyez la page du service.",
        )
    if row.postponed_at is not None:
        raise Conflict(
            "postponed_already",
            Text("La mise à jour de « {name} » a déjà été reportée.", name=service.name),
            "Convenez d’une autre date avec la DSI.",
        )
    return row


def move(session: Session, row: PlannedUpgrade, since: datetime, rules: Rules) -> None:
    """Give a planned upgrade its member's first window from an instant on."""
    begins, ends = rules.place(session, row.member_id, since)
    row.not_before, row.starts_at, row.ends_at = since, begins, ends
    session.flush()


def replace_windows(session: Session, member_id: int, at: datetime, rules: Rules) -> None:
    """Move what is planned for a member into its window as it is now, never before it was told."""
    planned = PlannedUpgrade.member_id == member_id, PlannedUpgrade.state == "planned"
    query = sa.select(PlannedUpgrade).where(*planned).order_by(PlannedUpgrade.id).with_for_update()
    for row in session.scalars(query).all():
        move(session, row, max(row.not_before, at), rules)


def put_window(session: Session, member: str, at: datetime, rules: Rules, **window: Any) -> None:
    """`windows.put`, and what is planned moves along."""
    replace_windows(session, windows.put(session, member, at, **window), at, rules)


def remove_window(session: Session, member: str, at: datetime, rules: Rules) -> None:
    """`windows.remove`, and what is planned moves along."""
    replace_windows(session, windows.remove(session, member), at, rules)


def cancel(session: Session, upgrade_id: int, at: datetime) -> PlannedUpgrade:
    """Give a planned upgrade up; the DSI may plan it anew. Raises NotFound not_found, Conflict not_planned."""
    row = session.get(PlannedUpgrade, min(upgrade_id, reading.BEYOND), with_for_update=True)
    if row is None:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    if row.state != "planned":
        raise Conflict("not_planned", "Cette mise à jour a commencé ou a pris fin.", "Voyez la page du service.")
    end(session, row, "cancelled", at, "cancelled")
    return row


def end(session: Session, row: PlannedUpgrade, state: str, at: datetime, said: str | None = None) -> None:
    """Close a planned upgrade as done, failed or cancelled; its member is told. said: the code of why."""
    row.state, row.ended_at, row.said = state, at, said
    session.flush()
    detail = {"upgrade": row.id, "version": row.version, "why": said, "told": row.told_at is not None}
    action = {"done": "upgrade.done", "failed": "upgrade.failed", "cancelled": "upgrade.cancel"}[state]
    audit.record(session, action, f"service {row.service_id}", member_id=row.member_id, detail=detail)
