"""Capacity: what the cloud has left and when it is full; what members may hold, hold and really use; the workers."""

from __future__ import annotations

from flask import render_template, request

from api import auth
from api.pages.admin.guard import territory
from tenants import capacity, capacity_trend, workers

blueprint = territory("admin_capacity", "/admin")


@blueprint.get("/capacity")
def show() -> str:
    """Each resource: total, reserved, used, left, days until full; the hosts."""
    with auth.scope() as session:
        resources = capacity_trend.summary(session, auth.now())
        hosts = capacity.hypervisors(session)
    return render_template("admin/capacity/show.html", resources=resources, hosts=hosts)


@blueprint.get("/quotas")
def quotas() -> str:
    """Limit, held and used of each member; `?odd=1`: only where they differ."""
    only = request.args.get("odd") == "1"
    with auth.scope() as session:
        rows = capacity.quota_use(session, auth.settings().snapshots_per_service)
    shown = [row for row in rows if not only or any(count["odd"] for count in row["counts"].values())]
    return render_template("admin/capacity/quotas.html", rows=shown, only=only, all=len(rows))


@blueprint.get("/workers")
def show_workers() -> str:
    """The workers: alive or silent, what each runs."""
    with auth.scope() as session:
        rows = workers.listed(session, auth.now(), auth.settings().dead_after_seconds)
    return render_template("admin/capacity/workers.html", rows=rows)
