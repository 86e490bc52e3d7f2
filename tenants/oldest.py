"""How old the oldest is that an application keeps, beside the days that it may: what has to be destroyed in time, is.

A stack whose `retention` names an `answer` tells `oldest_days` each time it counts (`stack.yml`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Flow, Service
from orchestrator.tables_usage import OLDEST, MeterSample, code
from tenants import answering

LATE = timedelta(days=2)  # counted every day: then it was missed
LOOKED_BACK = timedelta(days=365)


@dataclass(frozen=True)
class Oldest:
    """days: how old the oldest was when it was last counted, a day that began is a whole one; None: not counted yet.

    allowed: the days that are answered, label: how that is asked; rule: what the register of processing says.
    highest: the most of the last year's `counts`. state: in_time, too_old, or uncounted: not for two days, or not since
    an answer that it would be too old for.
    """

    days: int | None
    at: datetime | None
    allowed: int
    label: dict[str, str]
    rule: dict[str, str]
    highest: int | None
    counts: int
    state: str


def of(session: Session, service: Service, at: datetime) -> Oldest | None:
    """The oldest that a service keeps, seen at an instant; None where nothing of it has its time."""
    offer = answering.declared(session, service)
    name = offer and offer.stack and offer.stack["retention"].get("answer")
    asked = {one["name"]: one for one in answering.listed(session, service)}
    if not offer or not offer.stack or name not in asked:
        return None
    samples = _samples(service)
    newest = session.scalars(samples.order_by(MeterSample.at.desc()).limit(1)).first()
    known = samples.where(MeterSample.at > at - LOOKED_BACK).subquery()
    highest, counts = session.execute(sa.select(sa.func.max(known.c.quantity), sa.func.count(known.c.id))).one()
    return Oldest(
        int(newest.quantity) if newest else None, newest.at if newest else None, asked[name]["answer"],
        asked[name]["label"], offer.stack["register"]["retention"], None if highest is None else int(highest), counts,
        _state(session, service, newest, asked[name]["answer"], at),
    )  # fmt: skip


def _samples(service: Service) -> sa.Select[MeterSample]:
    meter = code(service.specification["stack"]["slug"], OLDEST)
    return sa.select(MeterSample).where(MeterSample.service_id == service.id, MeterSample.meter == meter)


def _state(session: Session, service: Service, newest: MeterSample | None, allowed: int, at: datetime) -> str:
    if not newest or newest.at < at - LATE:
        return "uncounted"
    if newest.quantity <= allowed:
        return "in_time"
    answered = sa.exists().where(
        Flow.service_id == service.id, Flow.kind == "change_parameters", Flow.state == "done", Flow.ended_at > newest.at
    )
    return "uncounted" if session.scalar(sa.select(answered)) else "too_old"
