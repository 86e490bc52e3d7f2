"""How quick the pages are for an agglomeration of 300 members and 20,000 services, in a scratch database.

The real portal in its own processes under a constant rate of requests (milliseconds, queueing included), for the pages
of which we promise something, then for the others; then each page alone in this process (its SQL queries, and the
processor time that it takes).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from api import bench_load, serving
from api.app import create
from api.bench_load import Answer, Page
from api.serving import Portal
from orchestrator import scratch
from orchestrator.database import door_session, territory_session
from orchestrator.errors import Unavailable
from orchestrator.settings import Settings
from tenants import accounts, bench_pages, invitations, sessions
from tenants.tables import Order, Statement

BIG = 1  # the id of the member with the most services
PASSWORD = "quatre girafes bleues dansent"  # noqa: S105  (of a database that lives for a minute)
ALONE = 12  # times that each page is asked for alone, after a first that warms up
# What we promise on two free cores at 20 requests a second, of 300 members and 20,000 services: p95 in milliseconds.
PROMISED = {"home": 100.0, "services_50": 100.0, "services_200": 70.0, "service": 100.0, "costs": 100.0}


@dataclass(frozen=True)
class Reader:
    """Somebody who reads pages; cookies as a browser sends them."""

    name: str
    member_id: int | None
    role: str


READERS = (
    Reader("requester", BIG, "requester"), Reader("finance", BIG, "finance"), Reader("dsi", None, "dsi_admin"),
)  # fmt: skip


def run(settings: Settings, members: int, services: int, rate: float, seconds: float) -> dict[str, Any]:
    """p50_ms, p95_ms, max_ms, queries and cpu_ms by page; fill_seconds; failed: answers that were no page.

    promised_ms: the most that p95_ms may be; kept: whether none is more. load: how many programs wanted a processor
    meanwhile (the mean of a minute; ours among them): more than there are `cores`, and the milliseconds are theirs too.
    machine_p95: how many times longer than at best the same computation takes here at its own p95, alone: what the
    machine adds to each of our milliseconds.
    """
    with scratch.database(settings) as alone:
        began = time.perf_counter()
        bench_pages.fill(alone, datetime.now(UTC), members=members, services=services)
        filled = time.perf_counter() - began
        with made(alone) as app:
            pages = listed(app)
            with serving.listening(alone, "127.0.0.1", 0) as portal:
                bench_load.run(portal.url, pages, rate, min(seconds, 10.0))  # connections, templates
                before = _processor_seconds(portal)
                answers = bench_load.run(portal.url, [one for one in pages if one.name in PROMISED], rate, seconds)
                load = os.getloadavg()[0]
                answers += bench_load.run(portal.url, [one for one in pages if one.name not in PROMISED], rate, seconds)
                spent = _processor_seconds(portal) - before
            machine = _machine()
            alone_figures = {page.name: measure(app, page) for page in pages}
    figures = _figures(answers)
    return {
        "members": members, "services": services, "rate": rate, "seconds": seconds, "fill_seconds": round(filled, 1),
        "requests": len(answers), "failed": sum(answer.status != 200 for answer in answers),
        "portal_cpu_ms": round(spent * 1000 / max(1, len(answers)), 1), "load": round(load, 1),
        "cores": os.cpu_count(), "machine_p95": round(machine, 1), "promised_ms": PROMISED,
        "kept": all(figures["p95_ms"][page] < most for page, most in PROMISED.items()),
        **figures,
        "queries": {name: found[0] for name, found in alone_figures.items()},
        "cpu_ms": {name: found[1] for name, found in alone_figures.items()},
    }  # fmt: skip


def _figures(answers: Sequence[Answer]) -> dict[str, dict[str, float]]:
    times: dict[str, list[float]] = {}
    for answer in answers:
        times.setdefault(answer.page, []).append(answer.ms)
    return {
        "p50_ms": {page: round(statistics.median(ms), 1) for page, ms in times.items()},
        "p95_ms": {page: round(_percentile(ms, 0.95), 1) for page, ms in times.items()},
        "max_ms": {page: round(max(ms), 1) for page, ms in times.items()},
    }


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


@contextmanager
def made(alone: Settings) -> Iterator[Flask]:
    """The app on the scratch database, in this process."""
    app = create(alone)
    yield app
    app.extensions["engines"].dispose()


def listed(app: Flask) -> list[Page]:
    """The pages that are measured, each with the cookies of an account that reads it."""
    cookies = {reader.name: _sign_in(app, reader) for reader in READERS}
    service, order, statement = _samples(app)
    paths = (
        ("home", "/", "requester"), ("services_50", "/services?rows=50", "requester"),
        ("services_200", "/services?rows=200", "requester"), ("service", f"/services/{service}", "requester"),
        ("costs", "/costs", "finance"), ("orders", "/orders", "finance"), ("order", f"/orders/{order}", "finance"),
        ("statements", "/statements", "finance"), ("statement", f"/statements/{statement}", "finance"),
        ("dsi_home", "/", "dsi"), ("dsi_services", "/services?rows=200", "dsi"), ("dsi_costs", "/costs", "dsi"),
        ("dsi_audit", "/admin/audit", "dsi"),
    )  # fmt: skip
    return [Page(name, path, cookies[reader]) for name, path, reader in paths]


def _samples(app: Flask) -> tuple[int, int, int]:
    """A service, the order that made it, the newest statement, all of the big member."""
    with territory_session(app.extensions["engines"].staff, "bench") as session:
        found = session.execute(
            sa.select(Order.service_id, Order.id)
            .where(Order.member_id == BIG, Order.kind == "create", Order.state == "approved")
            .order_by(Order.id)
            .limit(1)
        ).one()
        statement = session.scalars(
            sa.select(Statement.id).where(Statement.member_id == BIG).order_by(Statement.id.desc()).limit(1)
        ).one()
    return found.service_id, found.id, statement


def _sign_in(app: Flask, reader: Reader) -> str:
    """Invite a person who accepts and signs in; the cookies of that browser."""
    engines, at = app.extensions["engines"], datetime.now(UTC)
    with territory_session(engines.staff, "bench") as session:
        invited = invitations.invite(
            session, f"{reader.name}@example.org", reader.name.title(), "fr", reader.member_id, {reader.role}, at
        )
    assert invited.secret
    invitations.accept(engines.door, app.extensions["hasher"], invited.secret, PASSWORD, at)
    with door_session(engines.door, "bench") as session:
        account = accounts.find(session, invited.account_id)
        secret = sessions.start(session, account, at, 12, address="127.0.0.1", device="bench")
    return f"clocher={secret}"


def measure(app: Flask, page: Page, times: int = ALONE) -> tuple[int, float]:
    """SQL statements of one request, and the median of the milliseconds of processor that this process takes for it."""
    client, taken, counted = app.test_client(use_cookies=False), list[float](), 0
    engines = app.extensions["engines"]
    for turn in range(times + 1):
        with _counting((engines.web, engines.staff, engines.door)) as counts:
            began = time.process_time()
            answer = client.get(page.path, headers={"Cookie": page.cookies})
            spent = time.process_time() - began
        if answer.status_code != 200:
            raise Unavailable("bench_failed", "Une page mesurée ne répond pas.", page.path, detail=answer.status)
        counted = len(counts)
        taken += [spent * 1000] if turn else []
    return counted, round(statistics.median(taken), 1)


@contextmanager
def _counting(engines: Sequence[sa.Engine]) -> Iterator[list[str]]:
    """The statements that are sent while this lasts."""
    found: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        found.append(statement)

    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", count)
    try:
        yield found
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", count)


def _machine(times: int = 200) -> float:
    """The p95 of the same computation, over its minimum."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        sum(number * number % 7 for number in range(100_000))
        taken.append(time.perf_counter() - began)
    return _percentile(taken, 0.95) / min(taken)


def _processor_seconds(portal: Portal) -> float:
    """What its processes have used of the processors (Linux; elsewhere nothing)."""
    used = 0
    for process in portal.processes:
        try:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")
