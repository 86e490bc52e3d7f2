"""Services that nobody ordered: what was made by hand in a member's project, so that it has a line of its own."""

from __future__ import annotations

import re
import unicodedata

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.cloud_history import Found
from orchestrator.tables import Resource, Service

PREFIX = "hors-clocher"
LONGEST = 40  # characters of a service's name


def make(session: Session, member_id: int, found: Found, by: str | None) -> tuple[int, int]:
    """A service of the state `outside` for one thing, and the thing's row; (the row's id, the service's).

    by: the account in the cloud that made it, where that is known.
    """
    told = {"kind": found.kind, "name": found.name, "cloud_id": found.id, "by": by}
    sizes = {"vcpus": found.vcpus, "ram_mib": found.ram_mib, "disk_gib": found.disk_gib}
    service = Service(
        member_id=member_id, name=_name(session, member_id, found), state="outside",
        specification={"outside": told, "play": None, **sizes},
    )  # fmt: skip
    session.add(service)
    session.flush()
    resource = Resource(member_id=member_id, service_id=service.id, kind=found.kind, cloud_id=found.id)
    session.add(resource)
    session.flush()
    audit.record(session, "cloud.found", f"service {service.id}", member_id=member_id, detail=told)
    return resource.id, service.id


def _name(session: Session, member_id: int, found: Found) -> str:
    """Its name in the cloud as a service's name may be, with what tells it from others where that is taken."""
    plain = unicodedata.normalize("NFKD", found.name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or found.kind.replace("_", "-")
    name = f"{PREFIX}-{words}"[:LONGEST].strip("-")
    taken = sa.select(Service.id).where(
        Service.member_id == member_id, Service.name == name, Service.state.not_in(("deleted", "failed"))
    )
    mark = re.sub(r"[^a-z0-9]", "", found.id.lower())[:8]
    return f"{name[: LONGEST - 9].strip('-')}-{mark}" if session.scalar(taken) else name
