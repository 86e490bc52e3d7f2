"""The territory's entry from the web, and what is seen of applications from outside."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base


class Entry(Base):
    """An entry that was made, and what it was last told to lead to. It is the territory's: members may know that it is.

    authority: the certificate (PEM) that browsers have to trust; None where a public authority certifies.
    certificates: each host's, as the entry told them at set_at (`orchestrator/entry_certificates.py` reads them).
    """

    __tablename__ = "entries"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True, autoincrement=False)
    domain: Mapped[str]
    authority: Mapped[str | None]
    routes: Mapped[list[Any]]
    certificates: Mapped[list[Any]] = mapped_column(server_default="[]")
    set_at: Mapped[datetime]


class Availability(Base):
    """How often an application answered at its address on a local day, and how it was when last asked.

    said: what was answered instead; certificate_until: when the certificate that it showed expires.
    """

    __tablename__ = "availability"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    asked: Mapped[int]
    answered: Mapped[int]
    asked_at: Mapped[datetime]
    good: Mapped[bool]
    said: Mapped[str | None]
    certificate_until: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("asked > 0 AND answered BETWEEN 0 AND asked", "counted"),
        CheckConstraint(sa.text("good = (said IS NULL)"), "said"),
    )
