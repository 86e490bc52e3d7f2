"""Answers that are the last day of something, as a prefect's authorisation: told of before, and once it is over.

A parameter of type `date` whose rule has `warn_days` is one (`stack.yml`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import Session

from orchestrator import audit, days
from orchestrator.database import territory_session
from orchestrator.errors import N_, InvalidInput, Text
from orchestrator.steps import Runtime
from orchestrator.tables import AuditEntry, Service
from tenants import answering, schedules
from tenants.tables import Offer

log = structlog.get_logger()

WARNING = sa.cast("$.rules[*].warn_days", JSONPATH)  # in an offer's parameters


@dataclass(frozen=True)
class Deadline:
    """name, label: of the parameter; day: the last one; state: ahead, soon (within its `warn_days`) or over."""

    name: str
    label: dict[str, str]
    day: date
    state: str


def today(at: datetime, timezone: str) -> date:
    """The local day of an instant."""
    return at.astimezone(ZoneInfo(timezone)).date()


def of(session: Session, service: Service, day: date) -> list[Deadline]:
    """The last days that a service has, seen on a day."""
    found = [one for one in answering.listed(session, service) if one["rule"].get("warn_days") and one["answer"]]
    return [_deadline(one, date.fromisoformat(one["answer"]), day) for one in found]


def _deadline(asked: Mapping[str, Any], last: date, day: date) -> Deadline:
    soon = last - day <= timedelta(days=asked["rule"]["warn_days"])
    return Deadline(asked["name"], asked["label"], last, "over" if last < day else "soon" if soon else "ahead")


def check(rules: Sequence[Mapping[str, Any]], answers: Mapping[str, Any], at: datetime) -> None:
    """Raise InvalidInput `day_over` when a last day that is answered is over; facts: errors, as `parameters.read`."""
    last = [rule for rule in rules if rule.get("warn_days") and answers.get(rule["name"])]
    last_open = days.day_of(at).isoformat()
    over = next((rule for rule in last if answers[rule["name"]] < last_open), None)
    if over:
        sentence, action = Text("« {label} » est un jour passé.", label=over["label"]), N_("Donnez un jour à venir.")
        fault = {"parameter": over["name"], "code": "day_over", "sentence": sentence, "action": action}
        raise InvalidInput("day_over", sentence, action, facts={"errors": [fault]})


def warn(session: Session, at: datetime, timezone: str) -> list[int]:
    """Write which services have a last day that is near or over, each once; the ids of the services."""
    asking = sa.select(Offer.slug).where(sa.func.jsonb_path_exists(Offer.parameters, WARNING))
    rows = session.scalars(
        sa.select(Service)
        .where(Service.state.in_(schedules.LIVING), Service.specification["offer"].as_string().in_(asking),
               ~Service.specification.has_key("copy_of"))
        .order_by(Service.id)
    ).all()  # fmt: skip
    day = today(at, timezone)
    return [service.id for service in rows if _warn(session, service, day)]


def _warn(session: Session, service: Service, day: date) -> bool:
    news = [one for one in of(session, service, day) if one.state != "ahead" and not _told(session, service, one)]
    for one in news:
        audit.record(session, "answer.ends", f"service {service.id}", member_id=service.member_id, detail=_detail(one))
    return bool(news)


def _detail(one: Deadline) -> dict[str, Any]:
    return {"parameter": one.name, "label": one.label, "day": one.day.isoformat(), "over": one.state == "over"}


def _told(session: Session, service: Service, one: Deadline) -> bool:
    mine = (AuditEntry.action == "answer.ends") & (AuditEntry.subject == f"service {service.id}")
    told = sa.exists().where(mine, AuditEntry.detail.contains(_detail(one)))
    return bool(session.scalar(sa.select(told)))


def run(runtime: Runtime) -> None:
    """The duty."""
    settings = runtime.settings
    with territory_session(runtime.engine, f"worker {settings.worker_id}") as session:
        told = warn(session, datetime.now(UTC), settings.timezone)
    if told:
        log.info("last days", services=told)
