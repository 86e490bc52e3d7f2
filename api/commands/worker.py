"""`clocher worker`: run flows until told to stop."""

from __future__ import annotations

import click

from api import telling
from orchestrator import cloud_feeds, log, reconcile, worker
from orchestrator.settings import load
from orchestrator.worker import Duty
from tenants import (
    backups_working,
    capacity,
    consoles,
    costs_days,
    deadlines,
    deletions,
    drift,
    members_working,
    request_answers,
    schedules,
    service_exports,
    trail,
    upgrades_working,
    usage_working,
)

# What the rooms above the orchestrator do again and again; each acts on the worker's engine, in its own thread.
DUTIES: tuple[Duty, ...] = (
    Duty("member_changes", 1, members_working.work),
    Duty("capacity", 60, capacity.watch),
    Duty("consoles", 1, consoles.run),
    Duty("deletions", 10, deletions.run),
    Duty("schedules", 10, schedules.run),
    Duty("backups", 15, backups_working.run),
    Duty("drift", 30, drift.run),
    Duty("deadlines", 3600, deadlines.run),
    Duty("upgrades", 30, upgrades_working.run),
    Duty("exports", 60, service_exports.run),
    Duty("usage", 60, usage_working.run),
    Duty("reconcile", 60, reconcile.run),
    Duty("notifications", 5, cloud_feeds.run),
    Duty("notification_queue", 60, cloud_feeds.listen),
    Duty("costs", 120, costs_days.run),
    Duty("retention", 3600, trail.purge),
    Duty("request_keys", 3600, request_answers.forget),
    *telling.DUTIES,
)


@click.command()
def command() -> None:
    """Run flows until SIGTERM; start one per machine, each with its own CLOCHER_WORKER_ID."""
    settings = load()
    log.configure(settings)
    worker.run(settings, DUTIES)
