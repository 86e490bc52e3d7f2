"""What a service's console said when somebody asked."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import one_of

CONSOLE_STATES = ("waiting", "ready", "failed")


class ConsoleReading(Base):
    """The last reading of a service's console; a worker forgets it soon after (`tenants.consoles`).

    log: the last lines; screen: an address that opens the screen for some minutes, None where the cloud has none.
    """

    __tablename__ = "console_readings"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True, autoincrement=False)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    state: Mapped[str] = mapped_column(server_default="waiting")
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
    log: Mapped[str | None]
    screen: Mapped[str | None]
    fault: Mapped[str | None]
    __table_args__ = (
        CheckConstraint(one_of("state", CONSOLE_STATES), "state"),
        CheckConstraint("(read_at IS NULL) = (state = 'waiting')", "read"),
    )
