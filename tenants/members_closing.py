"""Closing a member: it orders no more and leaves the cloud; its accounts stay."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, Text
from orchestrator.tables import Member, Service
from tenants import members, quotas
from tenants.tables import Order


def check(session: Session, member: Member) -> None:
    """Raise Conflict while the member has living services (`member_has_services`) or orders that wait
    (`member_has_orders`); both say which."""
    living = sa.select(Service.name).where(Service.member_id == member.id, Service.state.not_in(("deleted", "failed")))
    if names := session.scalars(living.order_by(Service.name)).all():
        raise Conflict(
            "member_has_services",
            Text("« {name} » a encore des services : {services}.", name=member.name, services=_few(list(names))),
            "Supprimez-les d’abord, ou demandez au membre de le faire.",
            facts={"services": list(names)},
        )
    waiting = sa.select(Order.id).where(Order.member_id == member.id, Order.state == "waiting").order_by(Order.id)
    if orders := session.scalars(waiting).all():
        listed = ", ".join(map(str, orders[:10]))
        raise Conflict(
            "member_has_orders",
            Text("« {name} » a des commandes qui attendent une décision : {orders}.", name=member.name, orders=listed),
            "Décidez-en d’abord.",
            facts={"orders": list(orders)},
        )


def _few(names: list[str]) -> str:
    return ", ".join(names[:10]) + ("…" if len(names) > 10 else "")


def close(engine: sa.Engine, cloud: Cloud, slug: str, *, actor: str) -> bool:
    """Close the member and take its place out of the cloud; False when it had no place. Again: only the place.

    From then on the pages are its master: a file that still declares it does not open it again.
    Raises NotFound unknown_member, Conflict as `check`.
    """
    with territory_session(engine, actor) as session:
        member = members.find(session, slug)
        quotas.lock(session, member.id)
        check(session, member)
        if member.state != "closed":
            member.state, member.origin = "closed", "made"
            session.flush()
            audit.record(session, "member.close", f"member {slug}", member_id=member.id)
    return members.remove(engine, cloud, slug, actor=actor)
