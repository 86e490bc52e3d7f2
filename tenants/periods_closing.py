"""What closing a period would do, and what stands in its way: looked at, nothing written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Text, joined
from tenants import checks, periods, readings
from tenants.checks import Difference
from tenants.tables import Period, Statement


@dataclass(frozen=True)
class DryRun:
    """statements, total: what would be sealed; obstacles: why it can't be, in sentences; differences: of the checks."""

    period: Period
    statements: int
    total: Decimal
    obstacles: list[str]
    differences: list[Difference]


def dry_run(session: Session, label: str, now: datetime) -> DryRun:
    """Look at the period of that month; raises NotFound unknown_period."""
    period = periods.find(session, label)
    count, total = session.execute(
        sa.select(sa.func.count(Statement.id), sa.func.coalesce(sa.func.sum(Statement.total), 0)).where(
            Statement.period_id == period.id
        )
    ).one()
    drafted = period.metered_until is not None and period.state != "closed"
    found = checks.differences(session, period, period.metered_until or now) if drafted else []
    return DryRun(period, count, Decimal(total), _obstacles(session, period, found, now), found)


def _obstacles(session: Session, period: Period, found: list[Difference], now: datetime) -> list[str]:
    assert period.during.upper
    if period.state == "closed":
        return [Text("La période est close : elle ne change plus.")]
    if period.metered_until is None:
        return [Text("Elle n’est pas établie.")]
    obstacles: list[str] = []
    over = now >= period.during.upper
    if not over and not period.sample:
        obstacles.append(Text("Le mois n’est pas fini."))
    elif period.metered_until != period.during.upper and not period.sample:
        obstacles.append(Text("Elle n’a pas été établie jusqu’à la fin du mois : établissez-la encore."))
    if over and (refusal := readings.refusal(session, period)):
        obstacles.append(joined([refusal.sentence, refusal.action]))
    if found:
        told = Text("Différences trouvées par les contrôles : {count}. Établissez-la encore.", count=len(found))
        obstacles.append(told)
    elif period.state != "checked":
        obstacles.append(Text("Elle n’est pas contrôlée."))
    return obstacles
