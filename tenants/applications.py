"""What a service runs, as its people see it: which version, whether it is still offered, its last days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Service
from tenants import deadlines, oldest
from tenants.deadlines import Deadline
from tenants.oldest import Oldest
from tenants.tables import Offer


@dataclass(frozen=True)
class Application:
    """stack: its name; version, and what upstream calls it (None: no offer says); offered: whether the catalogue has
    it; what is withdrawn lives on, and gets no newer version. deadlines: its last days; oldest: how old the oldest is
    that it keeps, where that has its time.
    """

    stack: str
    version: str
    upstream: str | None
    offered: bool
    deadlines: list[Deadline]
    oldest: Oldest | None


def of(session: Session, service: Service, at: datetime, timezone: str) -> Application | None:
    """What a service runs; None for a machine."""
    own = service.specification.get("stack")
    if not own:
        return None
    offers = _offers(session, service)
    return Application(
        own["slug"], own["version"], _upstream(offers, own["version"]),
        any(offer.state == "published" for offer in offers),
        deadlines.of(session, service, deadlines.today(at, timezone)), oldest.of(session, service, at),
    )  # fmt: skip


def upstream(session: Session, service: Service) -> str | None:
    """What upstream calls the version that a service runs; an upgrade brings what a later offer declares."""
    return _upstream(_offers(session, service), service.specification["stack"]["version"])


def _offers(session: Session, service: Service) -> list[Offer]:
    query = sa.select(Offer).where(Offer.slug == service.specification["offer"], Offer.state != "draft")
    return list(session.scalars(query.order_by(Offer.version.desc())))


def _upstream(offers: list[Offer], version: str) -> str | None:
    declared = [one for offer in offers if offer.stack for one in offer.stack["versions"]]
    return next((one["app"] for one in declared if one["version"] == version and one.get("app")), None)
