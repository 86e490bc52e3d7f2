"""How long a month takes, in a scratch database: drafted from events, checked, and closed."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from os import sysconf
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import scratch
from orchestrator.database import connect, territory_session
from orchestrator.settings import Settings
from tenants import finance, periods, pools, prices

LABEL = "2026-09"
AFTER = datetime(2026, 11, 1, tzinfo=UTC)
MEMBERS = 40
# Prices and costs of its own: the figures must not depend on what this installation declares.
HOURLY = {
    "vcpu": "0.0065", "ram": "0.0025", "vcpu_stopped": "0.0006", "ram_stopped": "0.0002", "volume": "0.00012",
    "public_address": "0.0038",
}  # fmt: skip
BOOK = finance.PriceBook.model_validate({"tariffs": [{"from": "2026-01-01", "book": "bench", "hourly": HOURLY}]})
COSTS = finance.Sharing.model_validate(
    {
        "keys": [
            {"code": code, "version": 1, "from": "2026-01-01", "deliberation": "bench", "weights": weights}
            for code, weights in (
                ("mixed", {"population": "0.5", "vcpu": "0.3", "equal": "0.2"}),
                ("usage", {"usage": "1"}),
            )
        ],
        "pools": [
            {"code": f"pool-{n}", "label": {"fr": f"Coût {n}"}, "key": key, "months": {LABEL: "9999.99"}}
            for n, key in enumerate(("mixed", "usage", "mixed", "usage", "mixed", "usage"))
        ],
    }
)

# A month as an agglomeration lives it, without chance: the number of a server decides what happens to it.
# 1 in 10 is made in the month, 1 in 20 deleted, 1 in 10 stops every night of a week, 1 in 5 stops once,
# 1 in 12 grows; half have a volume (1 in 10 of them grows), 1 in 4 a public address. Of a `part` of the month, the same
# happens that much sooner, and everything is deleted at its end.
CONTENT = """
INSERT INTO members (slug, name, kind, siren, siret, population)
SELECT 'membre-' || n, 'Membre ' || n, 'commune', lpad((200000000 + n)::text, 9, '0'),
    lpad((200000000 + n)::text, 9, '0') || '00010', 200 + n * 731 FROM generate_series(1, :members) n;

INSERT INTO services (member_id, name, specification, state)
SELECT n % :members + 1, 'srv-' || n, '{}', 'active' FROM generate_series(1, :servers) n;

INSERT INTO resources (member_id, service_id, kind, cloud_id)
SELECT member_id, s.id, t.kind, 'bench-' || t.kind || s.id FROM services s
JOIN (VALUES ('server', 1), ('volume', 2), ('floating_ip', 4)) t (kind, every) ON s.id % t.every = 0;

CREATE TEMPORARY TABLE started AS
SELECT r.id, r.member_id, r.kind, s.id AS n,
    1 + s.id % 4 AS vcpus, 1024 * (1 + s.id % 8) AS ram_mib, 10 + s.id % 90 AS disk_gib,
    timestamptz '2026-09-01 00:00+02' + s.id * interval '0.731077 s'
        + CASE WHEN s.id % 10 = 0 THEN s.id % 28 ELSE -30 - s.id % 300 END * interval '1 day' AS at
FROM resources r JOIN services s ON s.id = r.service_id;

INSERT INTO resource_events (resource_id, member_id, kind, at, vcpus, ram_mib, disk_gib)
SELECT r.id, r.member_id, e.kind, CASE WHEN e.at > :begins THEN :begins + (e.at - :begins) * :part ELSE e.at END,
    CASE r.kind WHEN 'server' THEN r.vcpus * CASE WHEN e.grown THEN 2 ELSE 1 END END,
    CASE r.kind WHEN 'server' THEN r.ram_mib * CASE WHEN e.grown THEN 2 ELSE 1 END END,
    CASE r.kind WHEN 'volume' THEN r.disk_gib * CASE WHEN e.grown THEN 2 ELSE 1 END END
FROM started r CROSS JOIN LATERAL (
    SELECT 'launched' AS kind, r.at, false AS grown WHERE r.kind = 'server'
    UNION ALL SELECT 'serving', r.at + interval '41.5 s', false WHERE r.kind = 'server'
    UNION ALL SELECT 'created', r.at, false WHERE r.kind <> 'server'
    UNION ALL SELECT t.kind, night.at + t.late, false
        FROM generate_series(timestamptz '2026-09-07 19:00+02', '2026-09-11 19:00+02', '1 day') night (at),
            (VALUES ('stopped', interval '0'), ('started', interval '11 h')) t (kind, late)
        WHERE r.kind = 'server' AND r.n % 10 = 1
    UNION ALL SELECT t.kind, t.at, false
        FROM (VALUES ('stopped', timestamptz '2026-09-12 08:00+02'), ('started', '2026-09-14 07:30+02')) t (kind, at)
        WHERE r.kind = 'server' AND r.n % 5 = 2
    UNION ALL SELECT 'resized', '2026-09-29 06:00+02', true
        WHERE (r.kind = 'server' AND r.n % 12 = 5) OR (r.kind = 'volume' AND r.n % 20 = 2)
    UNION ALL SELECT 'deleted', '2026-09-30 12:00+02', r.n % 12 = 5 WHERE r.n % 20 = 7 OR :part < 1) e;
DROP TABLE started;
ANALYZE;
"""


# As many rows as the month has, written and summed without any promise: what the machine can do.
PLAIN = """
CREATE TEMPORARY TABLE plain ON COMMIT DROP AS
SELECT n AS id, n % 300 AS member_id, n % 97 * 1.1 AS quantity, tstzrange(now(), now() + n * interval '1 s') AS during
FROM generate_series(1, :rows) n;
SELECT member_id, sum(quantity * extract(epoch FROM upper(during) - lower(during))) FROM plain GROUP BY member_id
"""


def run(settings: Settings, servers: int, members: int = MEMBERS, part: Decimal = Decimal(1)) -> dict[str, Any]:
    """Draft, check and close a whole past month of `servers` servers of `members` members.

    part: of the month that they exist, with as many changes. draft, check, close: seconds, whose sum is seconds, and
    ratio how many times that is `plain`: as many rows written without any promise. cpu: of this process and the one of
    PostgreSQL that it speaks to, in seconds, which a busy machine does not change. peak_mib: this process;
    backend_peak_mib: PostgreSQL's own processes (Linux, same machine; else None); changes: events; rows: rows written.
    """
    acts: dict[str, Callable[..., object]] = {
        "draft": lambda session, alone: periods.draft(session, LABEL, COSTS, AFTER, alone.timezone),
        "check": lambda session, alone: periods.check(session, LABEL),
        "close": lambda session, alone: periods.close(session, LABEL, AFTER),
    }
    with scratch.database(settings) as alone:
        _fill(alone, servers, members, part)
        engine = connect(alone, "clocher_staff", pool_size=1)
        took, backend = {}, 0
        before = time.process_time()
        for name, act in acts.items():
            took[name], backend = _time(engine, partial(act, alone=alone))
        ours, theirs = time.process_time() - before, _backend_cpu(backend)
        with territory_session(engine, "bench") as session:
            counted = _counts(session)
        plain, _ = _time(engine, lambda session: _plain(session, counted["intervals"] + counted["lines"]))
        memory = _backend_mib(backend)
        engine.dispose()
    changes = counted.pop("changes")
    return {
        "servers": servers,
        "members": members,
        "changes": changes,
        **{name: round(seconds, 3) for name, seconds in took.items()},
        "seconds": round(sum(took.values()), 3),
        "cpu": round(ours + theirs, 3) if theirs else None,
        "plain": round(plain, 3),
        "ratio": round(sum(took.values()) / plain, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "backend_peak_mib": memory,
        "rows": sum(counted.values()),
        **counted,
    }


def scale(settings: Settings, servers: int, members: int = MEMBERS) -> dict[str, list[dict[str, Any]]]:
    """Runs that show what time follows: ×1, ×4 and ×16 of the hours with the same changes, then of the changes.

    ×16 is what was asked for: the whole month, and `servers` servers.
    """
    return {
        "hours": [run(settings, servers, members, Decimal(times) / 16) | {"times": times} for times in (1, 4, 16)],
        "changes": [run(settings, max(servers * times // 16, 1), members) | {"times": times} for times in (1, 4, 16)],
    }


def _time(engine: sa.Engine, act: Callable[[Session], object]) -> tuple[float, int]:
    """How long one transaction takes, in seconds, and the process of the server that did it."""
    with territory_session(engine, "bench") as session:
        backend = int(session.scalar(sa.text("SELECT pg_backend_pid()")) or 0)
        began = time.perf_counter()
        act(session)
        session.commit()
        return time.perf_counter() - began, backend


def _plain(session: Session, rows: int) -> None:
    for statement in PLAIN.split(";\n"):
        session.execute(sa.text(statement), {"rows": rows})


def _fill(alone: Settings, servers: int, members: int, part: Decimal) -> None:
    engine = connect(alone, "owner")
    begins = periods.bounds(LABEL, "Europe/Paris").lower
    chosen = {"members": members, "servers": servers, "part": part, "begins": begins}
    with engine.begin() as connection:
        for statement in CONTENT.split(";\n"):
            if statement.strip():
                connection.execute(sa.text(statement), chosen)
    with territory_session(engine, "bench") as session:
        prices.apply(session, BOOK, alone.timezone)
        pools.apply_keys(session, COSTS)
    engine.dispose()


def _counts(session: Session) -> dict[str, int]:
    names = {
        "intervals": "usage_intervals",
        "lines": "statement_lines",
        "statements": "statements",
        "changes": "resource_events",
    }
    return {
        name: int(session.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608
        for name, table in names.items()
    }


def _backend_cpu(pid: int) -> float | None:
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / sysconf("SC_CLK_TCK")


def _backend_mib(pid: int) -> float | None:
    try:
        with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
            peak = next(line for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None
    return round(int(peak.split()[1]) / 1024, 1)
