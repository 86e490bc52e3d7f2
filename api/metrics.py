"""What Prometheus may read: the portal's requests, and the state of the installation from the database.

The processes of a portal count in files of one folder, so that whichever answers tells what all of them did.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import sqlalchemy as sa
import structlog
from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from orchestrator.database import territory_session
from orchestrator.errors import ClocherError
from orchestrator.settings import Settings

log = structlog.get_logger(__name__)
QUERY = sa.text(
    "SELECT 'clocher_services', state, count(*)::float FROM services GROUP BY state"
    " UNION ALL SELECT 'clocher_flows', state, count(*) FROM flows GROUP BY state"
    " UNION ALL SELECT 'clocher_orders_waiting', '', count(*) FROM orders WHERE state = 'waiting'"
    " UNION ALL SELECT 'clocher_oldest_queued_flow_seconds', '',"
    " coalesce(extract(epoch FROM now() - min(queued_at)), 0) FROM flows WHERE state = 'queued'"
    " UNION ALL SELECT 'clocher_workers_alive', '', count(*) FROM workers"
    " WHERE seen_at > now() - make_interval(secs => :alive)"
)
HELP = {
    "clocher_services": "Services by state",
    "clocher_flows": "Flows by state",
    "clocher_orders_waiting": "Orders that wait for a decision",
    "clocher_oldest_queued_flow_seconds": "Age of the flow that has waited longest for a worker",
    "clocher_workers_alive": "Workers with a fresh heartbeat",
}


class Installation(Collector):
    """Gauges read from the database at each scrape: right however many processes serve."""

    def __init__(self, app: Flask, alive: float) -> None:
        self.app, self.alive = app, alive

    def describe(self) -> Iterable[Metric]:
        """Nothing is read before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The gauges, or only `clocher_database_up 0` when the database does not answer."""
        up = GaugeMetricFamily("clocher_database_up", "Whether the database answers")
        try:
            families = self._read()
        except ClocherError as error:
            log.warning("metrics without database", code=error.code)
            families = []
        up.add_metric([], float(bool(families)))
        yield up
        yield from families

    def _read(self) -> list[Metric]:
        with territory_session(self.app.extensions["engines"].staff, "metrics") as session:
            rows = session.execute(QUERY, {"alive": self.alive}).all()
        families: dict[str, GaugeMetricFamily] = {}
        for name, text in HELP.items():
            by_state = name in ("clocher_services", "clocher_flows")
            families[name] = GaugeMetricFamily(name, text, labels=["state"] if by_state else [])
        for name, state, value in rows:
            families[name].add_metric([state] if state else [], value)
        return list(families.values())


def install(app: Flask, settings: Settings, counts: Path | None) -> None:
    """Count the requests of `app`; a registry of its own, so that two apps of a process don't mix.

    counts: where the processes of a portal count, as PROMETHEUS_MULTIPROC_DIR said when prometheus_client was imported;
    None: this process is the only one.
    """
    registry = shown = CollectorRegistry()
    if counts:
        shown = CollectorRegistry()
        MultiProcessCollector(shown, path=str(counts))  # type: ignore[no-untyped-call]
    shown.register(Installation(app, settings.dead_after_seconds))
    app.extensions["metrics"] = shown
    labels = ("route", "method", "status")
    requests = Counter("clocher_requests", "Requests by route and status", labels, registry=registry)
    seconds = Histogram("clocher_request_seconds", "Time to answer, by route", ("route",), registry=registry)

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def count(answer: Response) -> Response:
        # The rule, not the path: a label must not take as many values as there are ids.
        route = request.url_rule.rule if request.url_rule else "unknown"
        requests.labels(route, request.method, answer.status_code).inc()
        seconds.labels(route).observe(time.perf_counter() - g.began)
        return answer
