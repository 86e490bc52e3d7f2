"""What tests of orders begin with: a member with quota and budget, the catalogue, prices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.tables import Member
from tenants import catalogue, stacks, trade_meters
from tenants.tables import Budget, Meter, Price, Quota

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c agent@mairie"
HOURLY = {"vcpu": "0.01", "ram": "0.005", "volume": "0.0001", "public_address": "0.004"}
QUOTA = {"servers": 50, "vcpus": 200, "ram_mib": 400_000, "volumes": 50, "disk_gib": 5000, "public_addresses": 10}
SIRENS = ("732829320", "404833048", "552100554")


def seed(owner: sa.Engine) -> None:
    """The catalogue and its prices."""
    with territory_session(owner, "tests") as session:
        catalogue.load(session)
        meters = {meter.code: meter.id for meter in session.scalars(sa.select(Meter))}
        for code, hourly in HOURLY.items():
            during = Range(datetime(2026, 1, 1, tzinfo=UTC), None)
            session.add(Price(meter_id=meters[code], during=during, hourly=Decimal(hourly), book="2026"))


@cache
def shipped() -> tuple[Mapping[str, Any], ...]:
    """What offers say of the stacks that come with us."""
    return tuple(stacks.columns(one)[0]["stack"] for one in stacks.read_all([stacks.ROOT / "playbooks" / "stacks"]))


def count_trades(session: Session) -> None:
    """Have the meters that shipped stacks bill, as publishing them does."""
    for stack in shipped():
        trade_meters.ensure(session, dict(stack))


def member(owner: sa.Engine, slug: str = "brevaux", *, budget: str = "60000", **quota: int) -> int:
    """A member's id; `quota` overrides QUOTA."""
    with territory_session(owner, "tests") as session:
        count = session.scalar(sa.select(sa.func.count()).select_from(Member)) or 0
        siren = SIRENS[count]
        commune = Member(slug=slug, name=slug.title(), kind="commune", siren=siren, siret=f"{siren}{count:05}")
        session.add(commune)
        session.flush()
        session.add(Quota(member_id=commune.id, **{**QUOTA, **quota}))
        session.add(Budget(member_id=commune.id, year=2026, amount=Decimal(budget)))
    return commune.id


def wish(name: str = "web", **more: object) -> dict[str, object]:
    """The parameters of an order."""
    return {"name": name, "ssh_keys": [KEY], **more}
