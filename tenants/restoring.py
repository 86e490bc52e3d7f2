"""Going back to a snapshot, looked at first: what comes back, what is lost, what a way to return costs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from orchestrator import snapshots
from orchestrator.errors import Conflict, Text
from orchestrator.tables import Service, Snapshot
from tenants import operations, prices, reading, starting


@dataclass(frozen=True)
class Preview:
    """Going back to a snapshot. volumes: the roles of the data volumes that it can bring back too; loses: in any case;
    loses_more: with the volumes. monthly: euros a month of a snapshot as big as this one, None without a price;
    refused: why what is there today can't be kept first, else None.
    """

    snapshot: Snapshot
    volumes: tuple[str, ...]
    loses: Text
    loses_more: Text
    monthly: Decimal | None
    refused: Conflict | None

    @property
    def advised(self) -> bool:
        """Whether to keep what is there today first, unless somebody says no."""
        return self.refused is None and self.monthly is not None


def preview(session: Session, service_id: int, snapshot_id: int, at: datetime, *, most: int) -> Preview:
    """What `operations.restore` would do. most: snapshots that a service may have. Raises not_found,
    snapshot_not_found.
    """
    service = reading.find(session, Service, service_id)
    found = snapshots.find(session, min(snapshot_id, reading.BEYOND), service.id)
    kept = operations.count_snapshots(session, service.id)
    told = {"name": found.name, "day": found.ready_at or found.created_at}
    return Preview(
        snapshot=found,
        volumes=tuple(snapshots.volumes_of(session, found)),
        loses=Text(
            "Tout ce qui a été écrit sur le disque du système depuis l’instantané « {name} » du {day} est perdu.",
            **told,
        ),
        loses_more=Text(
            "Tout ce qui a été écrit sur le disque du système et les volumes de données depuis l’instantané « {name} »"
            " du {day} est perdu.",
            **told,
        ),
        monthly=_monthly(session, found, at),
        refused=starting.snapshot_quota(service, kept, most) if kept >= most else None,
    )


def _monthly(session: Session, snapshot: Snapshot, at: datetime) -> Decimal | None:
    try:
        return prices.monthly(session, {"snapshot": Decimal(snapshot.size_gib or 1)}, at).monthly
    except Conflict:  # missing_price
        return None
