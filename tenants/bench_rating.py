"""How long rating takes: usage intervals in the database → statement lines in the database, in a scratch database."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from orchestrator import scratch
from orchestrator.database import connect, read_whole_months, territory_session
from orchestrator.settings import Settings
from tenants import finance, prices, rating
from tenants.tables import Period, Statement, StatementLine

MEMBERS = 40
START = datetime(2026, 1, 1, tzinfo=UTC)
# A vCPU an hour: sizes S, M and L have 1, 2 and 4, so cost 0.010, 0.020 and 0.040. A GiB of volume an hour.
HOURLY = {"vcpu": "0.010", "volume": "0.0001"}
BOOK = finance.PriceBook.model_validate({"tariffs": [{"from": "2025-12-01", "book": "bench", "hourly": HOURLY}]})
CONTENT = """
INSERT INTO members (slug, name, kind, siren, siret)
SELECT 'membre-' || n, 'Membre ' || n, 'commune', lpad((200000000 + n)::text, 9, '0'),
    lpad((200000000 + n)::text, 9, '0') || '00010' FROM generate_series(1, :members) n;
INSERT INTO services (member_id, name, specification, state)
SELECT i % :members + 1, 'srv-' || i, jsonb_build_object('i', i), 'active' FROM generate_series(0, :servers - 1) i;
INSERT INTO resources (member_id, service_id, kind, cloud_id)
SELECT member_id, id, kind, 'bench-' || kind || id FROM services CROSS JOIN (VALUES ('server'), ('volume')) t (kind);
INSERT INTO usage_intervals (period_id, resource_id, member_id, meter_id, quantity, during)
SELECT :period, r.id, r.member_id, m.id,
    CASE r.kind WHEN 'server' THEN (ARRAY[1, 2, 4])[1 + i % 3] ELSE 20 + i % 80 END, tstzrange(:starts, :ends)
FROM (SELECT id, CAST(specification ->> 'i' AS bigint) AS i FROM services) s JOIN resources r ON r.service_id = s.id
JOIN meters m ON m.code = CASE r.kind WHEN 'server' THEN 'vcpu' ELSE 'volume' END
ORDER BY r.id;
ANALYZE
"""


def run(settings: Settings, servers: int, hours: int) -> dict[str, Any]:
    """Rate `servers` servers that all exist for `hours` hours, each with a volume.

    Server i (from 0) has the size S, M or L by i mod 3, and 20 + i mod 80 GiB. total: euros, the sum of all lines,
    each rounded once; seconds: wall clock from intervals that are stored to lines and totals that are.
    """
    with scratch.database(settings) as alone:
        period_id = _fill(alone, servers, hours)
        engine = connect(alone, "clocher_staff")
        with territory_session(engine, "bench") as session:
            period = session.get_one(Period, period_id)
            began = time.perf_counter()
            read_whole_months(session)
            rating.rate(session, period)
            rating.total(session, period)
            session.commit()
            seconds = time.perf_counter() - began
        with territory_session(engine, "bench") as session:
            told = _told(session)
        engine.dispose()
    return {"servers": servers, "hours": hours, **told, "seconds": round(seconds, 3)}


def _fill(alone: Settings, servers: int, hours: int) -> int:
    engine = connect(alone, "owner")
    with territory_session(engine, "bench") as session:
        prices.apply(session, BOOK, alone.timezone)
        ends = START + timedelta(hours=hours)
        period = Period(label="2026-01", during=Range(START, ends), state="draft", metered_until=ends)
        session.add(period)
        session.flush()
        chosen: dict[str, Any] = {
            "members": MEMBERS,
            "servers": servers,
            "period": period.id,
            "starts": START,
            "ends": ends,
        }
        for statement in CONTENT.split(";\n"):
            session.execute(sa.text(statement), chosen)
    engine.dispose()
    return int(chosen["period"])


def _told(session: Session) -> dict[str, Any]:
    total = session.scalar(sa.select(sa.func.sum(Statement.total)))
    return {"total": str(total), "lines": session.scalar(sa.select(sa.func.count(StatementLine.id)))}
