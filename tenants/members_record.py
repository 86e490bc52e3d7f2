"""What the database holds of members: read, compared field by field with what is declared, and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator.places import Change, Ids
from orchestrator.tables import Member, Place
from tenants.declarations import Declaration
from tenants.tables import Budget, Quota

# Fields of `values`, by the column that keeps them.
MEMBER = (
    "name", "kind", "siren", "siret", "insee_code", "population", "contacts", "admin_networks", "subnet_cidr", "state",
    "origin",
)  # fmt: skip
QUOTA = ("servers", "vcpus", "ram_mib", "volumes", "disk_gib", "public_addresses")


@dataclass(frozen=True)
class Known:
    """A member as the database holds it: its fields by name, and its place if it has one."""

    id: int
    slug: str
    values: dict[str, Any]
    place: Ids | None


def read(session: Session) -> dict[str, Known]:
    """All members, by slug."""
    quotas = {quota.member_id: quota for quota in session.scalars(sa.select(Quota))}
    places = {place.member_id: place for place in session.scalars(sa.select(Place))}
    budgets: dict[int, dict[str, Any]] = {}
    for budget in session.scalars(sa.select(Budget)):
        budgets.setdefault(budget.member_id, {})[f"budget.{budget.year}"] = budget.amount
    known = {}
    for member in session.scalars(sa.select(Member)):
        values = {name: getattr(member, name) for name in MEMBER}
        if member.id in quotas:
            values |= {f"quota.{name}": getattr(quotas[member.id], name) for name in QUOTA}
        values |= budgets.get(member.id, {})
        known[member.slug] = Known(member.id, member.slug, values, _ids(places.get(member.id)))
    return known


def quotas(declaration: Declaration) -> dict[str, int]:
    """The declared quotas by the columns of Quota: memory in MiB."""
    declared = declaration.quotas.model_dump()
    declared["ram_mib"] = declared.pop("ram_gib") * 1024
    return declared


def values(declaration: Declaration, cidr: str, origin: str = "declared") -> dict[str, Any]:
    """What the database should hold of a member that is declared in a file, or made in the pages."""
    fields = declaration.model_dump(include=set(MEMBER))
    fields |= {"contacts": [contact.model_dump() for contact in declaration.contacts]}
    fields |= {"admin_networks": list(declaration.admin_networks)}
    fields |= {"subnet_cidr": cidr, "state": "active", "origin": origin}
    fields |= {f"quota.{name}": limit for name, limit in quotas(declaration).items()}
    return fields | {f"budget.{year}": amount for year, amount in sorted(declaration.budgets.items())}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Field by field, in the order of `new`; then what `new` no longer has."""
    fields = [*new, *(field for field in old if field not in new)]
    return [
        Change(field, said(old.get(field)), said(new.get(field)))
        for field in fields
        if old.get(field) != new.get(field)
    ]


def write(session: Session, slug: str, new: Mapping[str, Any]) -> int:
    """Make the member's rows hold `new`; the member's id."""
    columns = {name: new[name] for name in MEMBER}
    statement = insert(Member).values(slug=slug, **columns)
    member_id: int = session.execute(
        statement.on_conflict_do_update(index_elements=["slug"], set_=columns).returning(Member.id)
    ).scalar_one()
    limits = {name: new[f"quota.{name}"] for name in QUOTA}
    quota = insert(Quota).values(member_id=member_id, **limits)
    session.execute(quota.on_conflict_do_update(index_elements=["member_id"], set_=limits))
    amounts = {int(field[7:]): amount for field, amount in new.items() if field.startswith("budget.")}
    session.execute(sa.delete(Budget).where(Budget.member_id == member_id, Budget.year.not_in(amounts)))
    for year, amount in amounts.items():
        budget = insert(Budget).values(member_id=member_id, year=year, amount=amount)
        session.execute(budget.on_conflict_do_update(index_elements=["member_id", "year"], set_={"amount": amount}))
    return member_id


def write_place(session: Session, member_id: int, ids: Ids) -> None:
    """Remember where the member is in the cloud."""
    columns = {**asdict(ids), "applied_at": sa.func.now()}
    place = insert(Place).values(member_id=member_id, **columns)
    session.execute(place.on_conflict_do_update(index_elements=["member_id"], set_=columns))


def _ids(place: Place | None) -> Ids | None:
    if place is None:
        return None
    return Ids(place.project_id, place.network_id, place.subnet_id, place.router_id, place.security_group_id)


def said(value: Any) -> str | None:
    """A field's value as people read it."""
    if isinstance(value, list):
        return "; ".join(map(_listed, value)) or None
    return None if value is None else str(value)


def _listed(part: Any) -> str:
    return part if isinstance(part, str) else f"{part['name']}, {part['role']} <{part['email']}>"
