"""What is looked at in a browser: every page by itself, and here the states of pages that need something to be there.

Every route that answers GET with a page is visited without being listed (its ids come from `owned.py`). Makers of pages
add to SCREENS what one does not see that way: an empty list, a refused form, a failed operation. `shown` ones are also
drawn into docs/screens when CLOCHER_SCREENS is set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa
from playwright.sync_api import Page
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Service
from tenants.tables import Meter
from tenants.tables_costs import CostDay
from tests.api import screens_portal as portal
from tests.api.owned import World

NOBODY, MEMBER, TERRITORY = "nobody", "member", "territory"


@dataclass(frozen=True)
class Screen:
    """A state of a page. prepare: makes what must be there, and may give the path; act: what is done in the browser."""

    name: str
    path: str
    who: str = MEMBER
    prepare: Callable[[World], str | None] | None = None
    act: Callable[[Page], None] | None = None
    shown: bool = False


def _inside(make: Callable[[Session, int], str | None]) -> Callable[[World], str | None]:
    def prepare(world: World) -> str | None:
        with territory_session(world.owner, "tests") as session:
            return make(session, world.members["brevaux"])

    return prepare


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
    for task, outcome in (("Set the host name", "changed"), ("Install the packages", "started")):
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
    Screen("sign-in", "/sign-in", NOBODY, shown=True),
    Screen("home-empty", "/"),
    Screen("home", "/", prepare=_inside(_everything), shown=True),
    Screen("home-territory", "/", TERRITORY, shown=True),
    Screen("flow-running", "", prepare=_inside(_busy), shown=True),
    Screen("flow-failed", "", prepare=_inside(_failed)),
    Screen("nowhere", "/nowhere"),
    Screen("catalogue", "/catalogue", shown=True),
    Screen("accessibility", "/accessibilite", NOBODY),
    Screen("menu-open", "/plan-du-site", TERRITORY, act=lambda page: page.locator(".account summary").click()),
    Screen("order-form", "/catalogue/vm-medium", shown=True),
    Screen("order-form-refused", "/catalogue/vm-small", act=portal.send),
    Screen("order-summary", "/catalogue/vm-medium", act=portal.fill, shown=True),
    Screen("order-form-territory", "/catalogue/vm-medium", TERRITORY),
    Screen("order-waiting", "", prepare=_inside(portal.waiting), shown=True),
    Screen("order-to-decide", "", TERRITORY, prepare=_inside(portal.waiting)),
    Screen("orders", "/orders", prepare=_inside(portal.waiting)),
    Screen("approvals", "/approvals", TERRITORY, prepare=_inside(lambda s, m: portal.waiting(s, m) and None)),
    Screen("services", "/services", shown=True),
    Screen("services-none", "/services?text=zzz"),
    Screen("service", "", prepare=_inside(portal.service), shown=True),
    Screen("service-held", "", prepare=_inside(portal.busy)),
    Screen("service-leaving", "", prepare=_inside(portal.leaving)),
    *(
        Screen(f"service-{name}", "", prepare=_inside(portal.beside(path)), shown=name == "resize")
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
    Screen("costs", "/costs", shown=True),
)
