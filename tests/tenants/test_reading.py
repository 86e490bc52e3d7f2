"""Lists are filtered and paged; the page of a service asks as often however much happened to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.errors import NotFound
from orchestrator.tables import Flow, Service
from tenants import changes, operations, reading, reading_service
from tenants.tables import Order
from tests.tenants.ordering import NOW, member, seed
from tests.tenants.test_changes import create, end, refused


@pytest.fixture(autouse=True)
def _seeded(owner: sa.Engine) -> None:
    seed(owner)


@contextmanager
def counting(engine: sa.Engine) -> Iterator[list[str]]:
    told: list[str] = []
    listen = lambda _c, _k, statement, *_: told.append(statement)  # noqa: E731
    sa.event.listen(engine, "before_cursor_execute", listen)
    yield told
    sa.event.remove(engine, "before_cursor_execute", listen)


@pytest.mark.slow
def test_lists_are_filtered_and_paged(owner: sa.Engine, web: sa.Engine, staff: sa.Engine) -> None:
    brevaux, orgelune = member(owner), member(owner, "orgelune")
    for name in ("site", "site-2", "paie"):
        create(owner, web, brevaux, name)
    create(owner, web, orgelune, "site")
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Service).where(Service.name == "site-2").values(state="stopped"))
    with member_session(web, brevaux, "agent") as session:
        names = lambda **more: [row["name"] for row in reading.page(session, Service, **more)[0]]  # noqa: E731
        assert names() == ["paie", "site-2", "site"]
        assert names(text="SITE") == ["site-2", "site"]
        assert names(text="%") == []
        assert names(states=["stopped"]) == ["site-2"]
        assert names(member="orgelune") == []
        rows, after = reading.page(session, Service, limit=2)
        assert [row["name"] for row in rows] == ["paie", "site-2"]
        assert names(after=after) == ["site"]
    with territory_session(staff, "dsi") as session:
        assert len(reading.page(session, Service)[0]) == 4
        assert [row["member"] for row in reading.page(session, Order, member="orgelune")[0]] == ["orgelune"]
        assert len(reading.page(session, Order, text="site")[0]) == 3
        assert len(reading.page(session, Flow, text="paie", states=["done"])[0]) == 1
        assert len(reading.page(session, Flow, service_id=1)[0]) == 1


@pytest.mark.slow
def test_the_page_of_a_service(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux, orgelune = member(owner), member(owner, "orgelune")
    service = create(owner, web, brevaux, disk_gib=10)

    def look() -> tuple[reading_service.ServiceView, int]:
        with counting(web) as told, member_session(web, brevaux, "agent") as session:
            return reading_service.service_page(session, service, NOW, "Europe/Paris"), len(told)

    before, asked = look()
    assert (before.row["name"], before.whole and before.whole.volumes) == ("web", {"main": 10})
    assert (len(before.flows), len(before.orders), before.change, before.cost.amount) == (1, 1, None, Decimal(0))
    for number in range(3):
        with member_session(web, brevaux, "agent") as session:
            order = changes.place(session, service, {"disk_gib": 20 + number}, f"key-{number}", NOW)
        end(owner, order.flow_id, "done")
        with member_session(web, brevaux, "agent") as session:
            _, flow = operations.snapshot(session, service, f"n° {number}", most=9)
        end(owner, flow.id, "done")
    after, again = look()
    assert again == asked
    assert (len(after.flows), len(after.snapshots), len(after.orders)) == (7, 3, 4)
    assert after.whole and after.whole.volumes == {"main": 22}
    with member_session(web, orgelune, "spy") as session:
        refused("not_found", NotFound, reading_service.service_page, session, service, NOW, "Europe/Paris")
