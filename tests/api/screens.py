"""What is looked at in a browser: every page by itself, and here the states of pages that need something to be there.

Every route that answers GET with a page is visited without being listed (its ids come from `owned.py`). Makers of pages
add to SCREENS what one does not see that way: an empty list, a refused form, a failed operation. Their order matters:
what one makes is there for those after it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import ClocherError, TooMany, Unavailable
from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Service
from tenants.tables import Meter
from tenants.tables_costs import CostDay
from tests.api import screens_admin as admin
from tests.api import screens_cycle
from tests.api import screens_portal as portal
from tests.api.screen import NOBODY, TERRITORY, Screen, inside, typed

# Refusals that no page gives when it is told to; the test raises them at /errors/<status>.
ERRORS: dict[int, ClocherError] = {
    429: TooMany("too_many_requests", "Ce jeton a fait trop de requêtes en une minute."),
    500: ClocherError(
        "internal_error", "Une erreur inattendue s’est produite ; elle est dans le journal.", "Prévenez la DSI."
    ),
    503: Unavailable("busy", "Trop de demandes à la fois.", "Réessayez dans un instant."),
}


def _busy(session: Session, member_id: int, name: str = "paie") -> str:
    """An operation half-way: a step done, one that is tried again, one that runs; Ansible at work."""
    at = datetime.now(UTC)
    service = Service(member_id=member_id, name=name, state="creating",
                      specification={"vcpus": 2, "ram_mib": 4096, "disk_gib": 20})  # fmt: skip
    session.add(service)
    session.flush()
    flow = Flow(member_id=member_id, service_id=service.id, kind="create_server", state="running", requested_by="t",
                started_at=at - timedelta(seconds=75))  # fmt: skip
    session.add(flow)
    session.flush()
    of = {"flow_id": flow.id, "member_id": member_id}
    session.add(FlowStep(**of, name="port", state="done", started_at=at - timedelta(seconds=75), ended_at=at))
    session.add(FlowStep(**of, name="server", state="done", attempts=2, started_at=at, ended_at=at))
    session.flush()
    session.add(FlowStep(**of, name="configure", state="running", started_at=at))
    for task, outcome in (("Set the host name", "changed"), ("Install what is missing", "started")):
        session.add(AnsibleEvent(**of, uuid=uuid4(), event="runner_on_ok", task=task, outcome=outcome))
    return f"/flows/{flow.id}"


def _failed(session: Session, member_id: int) -> str:
    """An operation that failed, with what it undid."""
    at = datetime.now(UTC)
    service = Service(member_id=member_id, name="archives", state="failed", specification={"vcpus": 1, "ram_mib": 2048})
    session.add(service)
    session.flush()
    flow = Flow(member_id=member_id, service_id=service.id, kind="create_server", state="failed", requested_by="t",
                started_at=at, ended_at=at, error_code="cloud_timeout",
                error_sentence="Le nuage n’a pas répondu à temps.")  # fmt: skip
    session.add(flow)
    session.flush()
    of = {"flow_id": flow.id, "member_id": member_id}
    session.add(FlowStep(**of, name="port", state="undone", started_at=at, ended_at=at))
    told = "Le nuage n’a pas répondu à temps."
    session.add(FlowStep(**of, name="server", state="failed", started_at=at, ended_at=at, message=told))
    return f"/flows/{flow.id}"


def _costs(session: Session, member_id: int) -> None:
    """Days that cost something, this month."""
    at = datetime.now(UTC)
    meter = session.scalars(sa.select(Meter).limit(1)).one()
    day = CostDay(member_id=member_id, day=at.date().replace(day=1), meter_id=meter.id, until=at)
    day.amount, day.ahead = Decimal("412.30"), Decimal("1380.55")
    session.add(day)


def _everything(session: Session, member_id: int) -> None:
    _busy(session, member_id, "site-mairie")
    _failed(session, member_id)
    _costs(session, member_id)


SCREENS: tuple[Screen, ...] = (
    *admin.EMPTY,
    Screen("sign-in", "/sign-in", NOBODY),
    Screen("home-empty", "/"),
    Screen("home", "/", prepare=inside(_everything)),
    Screen("home-territory", "/", TERRITORY),
    Screen("flow-running", "", prepare=inside(_busy)),
    Screen("flow-failed", "", prepare=inside(_failed)),
    Screen("flow-cancel", "", prepare=inside(lambda s, m: f"{_busy(s, m, 'registre')}/cancel")),
    Screen("nowhere", "/nowhere"),
    Screen("catalogue", "/catalogue"),
    Screen("accessibility", "/accessibilite", NOBODY),
    Screen("menu-open", "/plan-du-site", TERRITORY, act=lambda page: page.locator(".account summary").click()),
    Screen("order-form", "/catalogue/vm-medium"),
    Screen("order-form-refused", "/catalogue/vm-small", act=portal.send),
    Screen("order-summary", "/catalogue/vm-medium", act=portal.fill),
    Screen("order-form-territory", "/catalogue/vm-medium", TERRITORY),
    Screen("order-waiting", "", prepare=inside(portal.waiting)),
    Screen("order-to-decide", "", TERRITORY, prepare=inside(portal.waiting)),
    Screen("orders", "/orders", prepare=inside(portal.waiting)),
    Screen("approvals", "/approvals", TERRITORY, prepare=inside(lambda s, m: portal.waiting(s, m) and None)),
    Screen("services", "/services"),
    Screen("services-none", "/services?text=zzz"),
    Screen("service", "", prepare=inside(portal.service)),
    Screen("service-addressed", "", prepare=inside(portal.addressed), act=portal.unfold),
    Screen("service-entry", "", TERRITORY, inside(portal.entrance)),
    Screen("service-held", "", prepare=inside(portal.busy)),
    Screen("service-kept", "", prepare=inside(portal.kept)),
    Screen("service-machine-kept", "", prepare=inside(portal.machine)),
    Screen("service-restore-files", "", prepare=inside(portal.files)),
    Screen("service-taken", "", prepare=inside(portal.taken)),
    Screen("service-certified", "", prepare=inside(portal.certified)),
    Screen("service-drifted", "", prepare=inside(portal.drifted), act=portal.unfold),
    Screen("service-outside", "", prepare=inside(portal.by_hand), act=portal.unfold),
    Screen("service-planned", "", prepare=inside(portal.planned)),
    Screen("service-withdrawn", "", prepare=inside(portal.withdrawn)),
    Screen("service-postpone", "", prepare=inside(lambda s, m: f"{portal.planned(s, m)}/upgrade/postpone")),
    Screen("maintenance", "/maintenance"),
    Screen("service-repair", "", prepare=inside(lambda s, m: f"{portal.drifted(s, m)}/drift/repair")),
    Screen("service-settings", "", prepare=inside(portal.settings)),
    Screen("service-settings-refused", "", prepare=inside(portal.settings_refused)),
    Screen("service-copy", "", prepare=inside(portal.copying)),
    Screen("service-copy-refused", "", prepare=inside(portal.copying), act=typed(name="Mon wiki")),
    Screen("service-copied", "", prepare=inside(portal.copied)),
    Screen("service-refresh", "", prepare=inside(portal.refreshing)),
    Screen("service-move", "", TERRITORY, prepare=inside(portal.moving)),
    Screen("service-leaving", "", prepare=inside(portal.leaving)),
    *(
        Screen(f"service-{name}", "", prepare=inside(portal.beside(path)))
        for name, path in {
            "stop": "/acts/stop",
            "reboot": "/acts/reboot",
            "keys": "/acts/keys",
            "rename": "/acts/rename",
            "delete": "/acts/delete",
            "delete-now": "/acts/delete_now",
            "refused": "/acts/start",
            "resize": "/change/resize?offer=vm-large",
            "volume": "/change/volume?volume=main&disk_gib=0",
            "address": "/change/address?public_address=1",
            "console": "/console",
        }.items()
    ),
    Screen("costs", "/costs"),
    Screen("sign-in-refused", "/sign-in", NOBODY, act=typed(email="personne@mairie.fr", password="trois petits pas")),
    Screen("reference", "/api/docs/orders"),
    Screen("token-made", "/tokens", act=typed(label="supervision")),
    Screen("token-refused", "/tokens", act=typed(label="")),
    Screen("tokens", "/tokens"),
    Screen("invitation-refused", "/people", act=typed(name="", email="personne")),
    Screen("webhook-refused", "/webhooks", act=typed(label="", url="http://10.0.0.1/")),
    Screen("not-for-members", "/admin/members"),
    *(Screen(f"error-{status}", f"/errors/{status}") for status in ERRORS),
    *admin.SCREENS,
    *screens_cycle.SCREENS,
)
