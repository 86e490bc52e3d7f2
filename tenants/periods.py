"""A billing month: open → draft (as often as you like) → checked → closed, for good.

A month is local (Europe/Paris by default), half-open. A draft made again from the same facts is the same to the byte.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import read_whole_months
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from tenants import (
    adjustments,
    billing,
    checks,
    disputes,
    energy,
    metering,
    pools,
    rating,
    readings,
    sharing,
    statements,
    vat,
)
from tenants.finance import Sharing
from tenants.prices import midnight
from tenants.tables import Period, Statement

MANY = 5_000  # intervals: from here on the planner has to count them
CLOSE_LOCK = 0x434C0021  # advisory lock


def bounds(label: str, timezone: str) -> Range[datetime]:
    """The instants of the month `label` (2026-10) there: [first midnight, midnight after the last day)."""
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", label):
        raise InvalidInput(
            "invalid_period", Text("« {month} » n’est pas un mois.", month=label), "Écrivez-le comme 2026-10."
        )
    year, month = map(int, label.split("-"))
    following = date(year + month // 12, month % 12 + 1, 1)
    return Range(midnight(date(year, month, 1), timezone), midnight(following, timezone))


def label_of(at: datetime, timezone: str) -> str:
    """The month that `at` falls in there."""
    for shift in (0, 1, -1):
        month = at.year * 12 + at.month - 1 + shift
        label = f"{month // 12}-{month % 12 + 1:02}"
        if bounds(label, timezone).contains(at):
            return label
    raise AssertionError("no zone is more than a month away from UTC")


def labels_until(label: str, count: int) -> list[str]:
    """The last `count` months until `label` (2026-11), newest first."""
    months = int(label[:4]) * 12 + int(label[5:]) - 1
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(months, months - count, -1)]


def find(session: Session, label: str, *, lock: bool = False) -> Period:
    """The period of that month; raises NotFound unknown_period."""
    query = sa.select(Period).where(Period.label == label)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    period = session.scalars(query).one_or_none()
    if period is None:
        raise NotFound(
            "unknown_period",
            Text("La période {month} n’existe pas.", month=label),
            "Lancez « clocher periods draft » pour l’établir.",
        )
    return period


def draft(
    session: Session, label: str, declared: Sharing, now: datetime, timezone: str, *, sample: bool = False
) -> Period:
    """Meter, rate, share and state the month anew, up to `now` if it still runs; opens the period if need be.

    What came to be known of closed months is in it as adjustment lines, where no earlier month is open.

    Raises Conflict period_closed, not_started, missing_price, missing_key, unknown_pool or nothing_to_share_by; and as
    `vat.state`.
    """
    read_whole_months(session)
    period = _open(session, label, timezone, sample)
    _refuse_closed(period)
    # Lines point at pools: they go first.
    session.execute(sa.text("DELETE FROM statement_lines WHERE period_id = :period"), {"period": period.id})
    pools.load(session, period, declared)
    period.energy = energy.freeze(declared.power, label)
    intervals = metering.meter(session, period, now)
    _learn(session, intervals)
    touched = adjustments.correct(session, period)
    rating.rate(session, period)
    adjustments.rate(session, period, touched)
    disputes.carry(session, period)
    billing.write(session, period)
    _learn(session, intervals)
    sharing.share_pools(session, period)
    rating.total(session, period)
    vat.state(session, period)
    period.state = "draft"
    audit.record(session, "period.draft", f"period {label}", detail={"intervals": intervals, "sample": period.sample})
    session.flush()
    return period


def check(session: Session, label: str) -> list[checks.Difference]:
    """Prove the draft: no difference makes it ready to close. Raises Conflict period_closed or not_drafted."""
    read_whole_months(session)
    period = find(session, label, lock=True)
    _refuse_closed(period)
    if period.metered_until is None:
        raise Conflict(
            "not_drafted",
            Text("La période {month} n’est pas établie.", month=label),
            "Lancez « clocher periods draft ».",
        )
    found = checks.differences(session, period, period.metered_until)
    period.state = "draft" if found else "checked"
    audit.record(session, "period.check", f"period {label}", detail={"differences": len(found)})
    session.flush()
    return found


def closable(session: Session, label: str, now: datetime, *, lock: bool = False) -> Period:
    """The period, when it may be closed now.

    Raises Conflict period_closed, not_checked, period_not_over or cloud_not_read.
    """
    read_whole_months(session)
    period = find(session, label, lock=lock)
    _refuse_closed(period)
    if period.state != "checked":
        raise Conflict(
            "not_checked",
            Text("La période {month} n’est pas contrôlée.", month=label),
            "Lancez « clocher periods check » d’abord.",
        )
    assert period.during.upper
    over = now >= period.during.upper and period.metered_until == period.during.upper
    if not over and not period.sample:
        raise Conflict(
            "period_not_over",
            Text("La période {month} n’a pas été établie jusqu’à sa fin.", month=label),
            "Attendez la fin du mois, puis établissez-la et contrôlez-la de nouveau.",
        )
    if refusal := readings.refusal(session, period):
        raise refusal
    found = checks.differences(session, period, period.metered_until or now)
    if found:
        # Facts can come between the check and now.
        raise Conflict(
            "not_checked",
            Text("Des faits sont arrivés depuis le contrôle de {month}.", month=label),
            "Établissez-la encore.",
            facts={"checks": sorted({difference.check for difference in found})},
        )
    return period


def close(session: Session, label: str, now: datetime) -> Period:
    """Seal a checked period: hash each statement onto its member's chain; the database refuses any change after.

    Raises what `closable` does.
    """
    # One at a time: what this one corrects must not be closed by another meanwhile, and the chains follow one order.
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(CLOSE_LOCK)))
    period = closable(session, label, now, lock=True)
    digest = statements.seal(session, period)
    period.state, period.closed_at, period.closed_by = "closed", now, str(session.info["actor"])
    period.sealed_from = sa.func.now()
    audit.record(session, "period.close", f"period {label}", detail={"sample": period.sample, "digest": digest})
    session.flush()
    return period


def listed(session: Session) -> list[dict[str, Any]]:
    """Every period, newest first, with the number of statements and their sum."""
    query = (
        sa.select(Period, sa.func.count(Statement.id), sa.func.coalesce(sa.func.sum(Statement.total), 0))
        .outerjoin(Statement, Statement.period_id == Period.id)
        .group_by(Period.id)
        .order_by(Period.label.desc())
    )
    return [
        {"period": p.label, "state": p.state, "sample": p.sample, "from": p.during.lower, "until": p.during.upper,
         "metered_until": p.metered_until, "statements": count, "total": total, "closed_at": p.closed_at}
        for p, count, total in session.execute(query)
    ]  # fmt: skip


def _open(session: Session, label: str, timezone: str, sample: bool) -> Period:
    during = bounds(label, timezone)
    session.execute(
        sa.text(
            "INSERT INTO periods (label, during, sample) VALUES (:label, tstzrange(:lower, :upper), :sample)"
            " ON CONFLICT (label) DO NOTHING"
        ),
        {"label": label, "lower": during.lower, "upper": during.upper, "sample": sample},
    )
    period = find(session, label, lock=True)
    if period.sample != sample and sample:
        raise Conflict(
            "period_is_real", Text("La période {month} n’est pas un exemple.", month=label), "Choisissez un autre mois."
        )
    return period


def _learn(session: Session, intervals: int) -> None:
    if intervals >= MANY:
        session.execute(sa.text("SELECT clocher_learn_month()"))


def _refuse_closed(period: Period) -> None:
    if period.state == "closed":
        raise Conflict(
            "period_closed",
            Text("La période {month} est close : elle ne change plus.", month=period.label),
            "Une correction se fait dans une période suivante.",
        )
