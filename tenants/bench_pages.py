"""A database as an agglomeration of 300 members and 20,000 services has after two years, to measure the pages on.

Everything follows from a service's number, without chance: its member, size, age, what was done to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from orchestrator.database import connect, territory_session
from orchestrator.settings import Settings
from tenants import catalogue, costs_days, periods, pools, prices
from tenants.bench_month import BOOK
from tenants.finance import Sharing

MEMBERS, SERVICES = 300, 20_000
COSTS = Sharing.model_validate(
    {
        "keys": [
            {"code": "mixed", "version": 1, "from": "2024-01-01", "deliberation": "bench",
             "weights": {"population": "0.5", "usage": "0.5"}}
        ],
        "pools": [
            {"code": "platform", "label": {"fr": "Plateforme"}, "key": "mixed", "monthly": {"2024-01": "20000.00"}}
        ],
    }
)  # fmt: skip
# 1 service in 23 more is the first member's: a town that fills long lists.
# 1 service in 20 is deleted, 1 in 50 failed, 1 in 15 stopped; the newer the number, the younger the service.
FACTS = """
CREATE TEMPORARY TABLE facts AS
SELECT n, CASE WHEN n % 23 = 7 OR n = 1 THEN 1 ELSE n % :members + 1 END AS member,
    o.id AS offer_id, o.slug, o.version, o.flavor, o.vcpus, o.ram_mib,
    CASE WHEN n % 2 = 0 THEN 10 + n % 90 ELSE 0 END AS disk_gib, n % 4 = 0 AS public,
    CASE WHEN n % 20 = 7 THEN 'deleted' WHEN n % 50 = 11 THEN 'failed' WHEN n % 15 = 4 THEN 'stopped'
        ELSE 'active' END AS state,
    CAST(:at AS timestamptz) - (:services - n) * (interval '700 days' / :services) - interval '1 hour' AS made,
    (ARRAY['site', 'etat-civil', 'ecoles', 'mediatheque', 'ged', 'paie', 'sig', 'cantine'])[n % 8 + 1] || '-' || n
        AS name
FROM generate_series(1, :services) n
JOIN (SELECT *, row_number() OVER (ORDER BY vcpus, slug) - 1 AS place FROM offers WHERE state = 'published') o
    ON o.place = CASE WHEN n % 10 < 6 THEN 0 WHEN n % 10 < 9 THEN 1 ELSE 2 END
ORDER BY n;
ALTER TABLE facts ADD PRIMARY KEY (n)
"""
CONTENT = f"""
INSERT INTO members (slug, name, kind, siren, siret, population)
SELECT 'membre-' || n, 'Commune ' || n, 'commune', lpad((200000000 + n)::text, 9, '0'),
    lpad((200000000 + n)::text, 9, '0') || '00010', 200 + n * 731 % 40000 FROM generate_series(1, :members) n;

INSERT INTO quotas (member_id, servers, vcpus, ram_mib, volumes, disk_gib, public_addresses)
SELECT id, 200, 800, 1600000, 200, 20000, 50 FROM members;

INSERT INTO budgets (member_id, year, amount)
SELECT id, y, 100000 FROM members, generate_series(2024, 2030) y;

{FACTS};

INSERT INTO services (member_id, name, specification, state, address, public_address, created_at, changed_at)
SELECT member, name, jsonb_build_object('offer', slug, 'offer_version', version, 'flavor', flavor, 'vcpus', vcpus,
        'ram_mib', ram_mib, 'image', 'debian-12', 'disk_gib', disk_gib, 'public_address', public, 'admin', 'admin',
        'ssh_keys', jsonb_build_array('ssh-ed25519 AAAA bench'), 'play', 'vm'),
    state, '10.80.0.' || n % 250, CASE WHEN public THEN '198.51.100.' || n % 250 END, made, made + interval '1 day'
FROM facts ORDER BY n;

INSERT INTO flows (member_id, service_id, kind, state, requested_by, queued_at, started_at, ended_at, worker_id)
SELECT f.member, f.n, k.kind, CASE WHEN f.state = 'failed' THEN 'failed' ELSE 'done' END, 'agent',
    f.made + k.late, f.made + k.late, f.made + k.late + interval '1 minute', 'worker-1'
FROM facts f CROSS JOIN (VALUES ('create_server', interval '0', 1), ('reboot_server', interval '2 hours', 3),
    ('stop_server', interval '20 hours', 15), ('resize_server', interval '3 hours', 10),
    ('delete_server', interval '22 hours', 20)) k (kind, late, every)
WHERE k.every = 1 OR (f.state <> 'failed' AND CASE k.kind WHEN 'stop_server' THEN f.state = 'stopped'
    WHEN 'delete_server' THEN f.state = 'deleted' ELSE f.n % k.every = 0 END)
ORDER BY f.made + k.late;

INSERT INTO flow_steps (flow_id, member_id, name, state, started_at, ended_at)
SELECT f.id, f.member_id, s.name, 'done', f.queued_at + s.turn * interval '7 s',
    f.queued_at + (s.turn + 1) * interval '7 s'
FROM flows f JOIN (VALUES ('project', 0), ('port', 1), ('server', 2), ('build', 3), ('configure', 4), ('health', 5),
    ('activate', 6)) s (name, turn) ON f.kind = 'create_server' OR s.turn IN (2, 6)
ORDER BY f.id, s.turn;

INSERT INTO orders (member_id, kind, request_key, offer_id, service_id, flow_id, parameters, state, estimate, monthly,
    difference, servers, vcpus, ram_mib, volumes, disk_gib, public_addresses, placed_by, placed_at, decided_by,
    decided_at)
SELECT f.member, CASE w.kind WHEN 'create_server' THEN 'create' ELSE 'resize' END, 'bench-' || w.id, f.offer_id, f.n,
    w.id, jsonb_build_object('name', f.name, 'disk_gib', f.disk_gib, 'public_address', f.public, 'image', 'debian-12',
        'volumes', CASE WHEN f.disk_gib > 0 THEN jsonb_build_object('main', f.disk_gib) ELSE '{{}}' END,
        'harmful', false, 'wanted', jsonb_build_object('offer', f.slug)),
    'approved', '{{"lines": [], "hours": 730, "monthly": "20.00"}}', 10 * f.vcpus,
    CASE w.kind WHEN 'create_server' THEN 10 * f.vcpus ELSE 0 END, 1, f.vcpus, f.ram_mib, (f.disk_gib > 0)::int,
    f.disk_gib, f.public::int, 'agent', w.queued_at, 'policy', w.queued_at
FROM flows w JOIN facts f ON f.n = w.service_id WHERE w.kind IN ('create_server', 'resize_server') ORDER BY w.id;

INSERT INTO orders (member_id, kind, request_key, offer_id, parameters, state, estimate, monthly, difference, servers,
    vcpus, ram_mib, placed_by, placed_at)
SELECT f.member, 'create', 'waiting-' || f.n, f.offer_id, jsonb_build_object('name', 'attente-' || f.n, 'disk_gib', 0,
        'public_address', false, 'image', 'debian-12', 'ssh_keys', '[]'::jsonb),
    'waiting', '{{"lines": [], "hours": 730, "monthly": "20.00"}}', 20, 20, 1, f.vcpus, f.ram_mib, 'agent',
    CAST(:at AS timestamptz) - interval '1 day'
FROM facts f WHERE f.n % 500 = 1;

INSERT INTO approvals (order_id, member_id, position, step, policy_version, rules, opened_at, due_at)
SELECT id, member_id, 1, 'approver', 1, '{{"own": false, "deputies": true, "engagement": false, "expires_days": 30,
    "remind_days": [3]}}', placed_at, placed_at + interval '30 days' FROM orders WHERE state = 'waiting';

INSERT INTO resources (member_id, service_id, flow_id, kind, cloud_id, created_at, deleted_at)
SELECT f.member, f.n, w.id, t.kind, 'bench-' || t.kind || f.n, f.made,
    CASE WHEN f.state IN ('deleted', 'failed') THEN f.made + interval '22 hours' END
FROM facts f JOIN flows w ON w.service_id = f.n AND w.kind = 'create_server'
CROSS JOIN (VALUES ('port'), ('server'), ('volume'), ('floating_ip')) t (kind)
WHERE CASE t.kind WHEN 'volume' THEN f.disk_gib > 0 WHEN 'floating_ip' THEN f.public ELSE true END ORDER BY f.n;

INSERT INTO resource_events (resource_id, member_id, flow_id, kind, at, vcpus, ram_mib, disk_gib)
SELECT r.id, r.member_id, r.flow_id, e.kind, f.made + e.late, CASE r.kind WHEN 'server' THEN f.vcpus END,
    CASE r.kind WHEN 'server' THEN f.ram_mib END, CASE r.kind WHEN 'volume' THEN f.disk_gib END
FROM resources r JOIN facts f ON f.n = r.service_id CROSS JOIN (VALUES ('created', interval '5 s'),
    ('launched', interval '20 s'), ('serving', interval '50 s'), ('stopped', interval '20 hours'),
    ('deleted', interval '22 hours')) e (kind, late)
WHERE CASE e.kind WHEN 'created' THEN r.kind <> 'server' WHEN 'deleted' THEN f.state IN ('deleted', 'failed')
    WHEN 'stopped' THEN r.kind = 'server' AND f.state = 'stopped'
    WHEN 'serving' THEN r.kind = 'server' AND f.state <> 'failed' ELSE r.kind = 'server' END
ORDER BY f.made + e.late;

INSERT INTO snapshots (member_id, service_id, name, state, size_gib, requested_by, created_at, ready_at)
SELECT member, n, 'avant mise à jour', 'ready', 10 + disk_gib, 'agent', made + interval '5 hours',
    made + interval '5 hours 3 minutes'
FROM facts WHERE n % 4 = 1 AND state IN ('active', 'stopped') ORDER BY n;

INSERT INTO snapshot_schedules
    (service_id, member_id, hour, weekdays, daily, weekly, monthly, handled_until, changed_by)
SELECT n, member, 2, '[1, 2, 3, 4, 5, 6, 7]', 7, 4, 3, :at, 'agent'
FROM facts WHERE n % 10 = 2 AND state IN ('active', 'stopped');

ALTER TABLE audit_entries DISABLE TRIGGER chained;
INSERT INTO audit_entries (at, actor, member_id, action, subject, detail, hash)
SELECT at, actor, member_id, action, subject, detail, sha256('bench') FROM (
    SELECT placed_at AS at, placed_by AS actor, member_id, 'order.place' AS action, 'order ' || id AS subject,
        jsonb_build_object('name', parameters ->> 'name', 'state', state) AS detail FROM orders
    UNION ALL SELECT ended_at, 'flow ' || id, member_id, 'service.state', 'service ' || service_id,
        jsonb_build_object('to', 'active', 'flow', id) FROM flows) told
ORDER BY at;
UPDATE audit_head SET id = (SELECT max(id) FROM audit_entries), hash = sha256('bench');
ALTER TABLE audit_entries ENABLE TRIGGER chained
"""  # noqa: S608  (no input in it)


@dataclass(frozen=True)
class Stage:
    """The filled database: its settings, the instant that is its present, the closed month."""

    settings: Settings
    at: datetime
    closed: str


def fill(alone: Settings, at: datetime, *, members: int = MEMBERS, services: int = SERVICES) -> Stage:
    """Fill a fresh, migrated database (`scratch.database`); the month before `at` is closed, its days are counted."""
    owner = connect(alone, "owner")
    with territory_session(owner, "bench") as session:
        catalogue.load(session)
        prices.apply(session, BOOK, alone.timezone)
        pools.apply_keys(session, COSTS)
    numbers = {"members": members, "services": services, "at": at}
    with owner.begin() as connection:
        for statement in CONTENT.split(";\n"):
            connection.execute(sa.text(statement), numbers)
    _analyse(owner)
    closed = _close_last_month(owner, alone, at)
    with territory_session(owner, "bench") as session:
        costs_days.count(session, at, alone.timezone)
    _analyse(owner)
    owner.dispose()
    return Stage(alone, at, closed)


def _close_last_month(owner: sa.Engine, alone: Settings, at: datetime) -> str:
    present = periods.bounds(periods.label_of(at, alone.timezone), alone.timezone)
    assert present.lower
    label = periods.label_of(present.lower - timedelta(hours=1), alone.timezone)
    with territory_session(owner, "bench") as session:
        periods.draft(session, label, COSTS, at, alone.timezone)
        periods.check(session, label)
        periods.close(session, label, at)
    return label


def _analyse(owner: sa.Engine) -> None:
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
        connection.execute(sa.text("CHECKPOINT"))  # else the pages wait while what was filled in is written
