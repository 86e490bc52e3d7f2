"""Members, services and events written down as a test tells them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Member, Resource, ResourceEvent, Service
from tenants import finance, periods, pools, prices
from tenants.tables import Period

PARIS = "Europe/Paris"
LATER = datetime(2026, 6, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    """`2026-03-10 10:00:00.5`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class Ledger:
    """Writes rows in one session."""

    session: Session
    members: dict[str, Member] = field(default_factory=dict)

    def member(self, slug: str, number: int, population: int | None, kind: str = "commune") -> None:
        siren = f"{number:09}"
        member = Member(
            slug=slug, name=slug.title(), kind=kind, siren=siren, siret=f"{siren}00015", population=population
        )
        self.session.add(member)
        self.session.flush()
        self.members[slug] = member

    def service(self, member: str, name: str) -> Service:
        ref = uuid5(NAMESPACE_URL, f"test:{member}/{name}")
        service = Service(ref=ref, member_id=self.members[member].id, name=name, specification={}, state="active")
        self.session.add(service)
        self.session.flush()
        return service

    def service_of(self, member: str, name: str) -> Service:
        """Likewise of a member that another ledger wrote."""
        self.members[member] = self.session.scalars(sa.select(Member).where(Member.slug == member)).one()
        return self.service(member, name)

    def server(self, service: Service, *events: tuple[str, str, int, int], cloud_id: str = "") -> int:
        """Events: (kind, instant, vCPUs, MiB)."""
        return self._resource(
            service, "server", cloud_id, [(kind, when, {"vcpus": v, "ram_mib": r}) for kind, when, v, r in events]
        )

    def volume(self, service: Service, *events: tuple[str, str, int]) -> int:
        """Events: (kind, instant, GiB)."""
        return self._resource(service, "volume", "", [(kind, when, {"disk_gib": g}) for kind, when, g in events])

    def address(self, service: Service, *events: tuple[str, str]) -> int:
        """Events: (kind, instant)."""
        return self._resource(service, "floating_ip", "", [(kind, when, {}) for kind, when in events])

    def _resource(
        self, service: Service, kind: str, cloud_id: str, events: list[tuple[str, str, dict[str, int]]]
    ) -> int:
        resource = Resource(
            member_id=service.member_id, service_id=service.id, kind=kind, cloud_id=cloud_id or f"{kind}-{service.id}"
        )
        self.session.add(resource)
        self.session.flush()
        for told, when, sizes in events:
            self.tell(resource, told, when, sizes)
        return resource.id

    def tell(self, resource: Resource, kind: str, when: str, sizes: dict[str, int]) -> None:
        row = {"resource_id": resource.id, "member_id": resource.member_id, "kind": kind, "at": at(when), **sizes}
        self.session.execute(sa.insert(ResourceEvent).values(row))

    def prices(self, *tariffs: tuple[str, dict[str, str]]) -> None:
        book = finance.PriceBook.model_validate(
            {"tariffs": [{"from": day, "book": f"Tarif {day}", "hourly": hourly} for day, hourly in tariffs]}
        )
        prices.apply(self.session, book, PARIS)

    def sharing(self, keys: dict[str, dict[str, str]], costs: dict[str, tuple[str, str]]) -> finance.Sharing:
        """Keys: code → weights; costs: code → (key, euros a month). The keys are adopted."""
        declared = finance.Sharing.model_validate(
            {
                "keys": [
                    {"code": code, "version": 1, "from": "2026-01-01", "deliberation": f"D-{code}", "weights": weights}
                    for code, weights in keys.items()
                ],
                "pools": [
                    {"code": code, "label": {"fr": code.title()}, "key": key, "monthly": {"2026-01": amount}}
                    for code, (key, amount) in costs.items()
                ],
            }
        )
        pools.apply_keys(self.session, declared)
        return declared


def close_the_rest(session: Session, year: int) -> None:
    """The months of a year that were never opened, closed with nothing in them: once all that a test closes is."""
    known = set(session.scalars(sa.select(Period.label)))
    for label in {f"{year}-{month:02}" for month in range(1, 13)} - known:
        during = periods.bounds(label, PARIS)
        session.add(Period(label=label, during=during, state="closed", metered_until=during.upper, closed_by="test",
                           closed_at=during.upper, sealed_from=sa.func.now()))  # fmt: skip
    session.flush()


def closed_before(owner: sa.Engine, ago: dict[str, int]) -> None:
    """As if months had been closed so many days ago, and all had been told before."""
    with owner.begin() as connection:
        connection.execute(sa.text("SET session_replication_role = replica"))  # no seal holds
        connection.execute(sa.text("UPDATE resource_events SET recorded_at = recorded_at - interval '11 days'"))
        for label, days in ago.items():
            change = "UPDATE periods SET sealed_from = sealed_from - make_interval(days => :d) WHERE label = :m"
            connection.execute(sa.text(change), {"d": days, "m": label})


BOOK = {
    "vcpu": "0.0065", "ram": "0.0025", "vcpu_stopped": "0.0006", "ram_stopped": "0.0002", "volume": "0.00012",
    "public_address": "0.0038",
}  # fmt: skip
