"""What happened is told exactly once: to people by mail, to programs by webhook, whatever becomes of a worker."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator import audit, sealing, services
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables import AuditEntry, Flow
from tenants import approvals, budget_watch, notices, orders, webhooks
from tenants.outside import Rules
from tenants.tables import Budget
from tenants.tables_notices import Delivery, Mail, NoticeMark
from tests.tenants.approving import Caller, adopt, person, place
from tests.tenants.ordering import NOW, member, seed

PORTAL = "https://portal.example"
DAY = timedelta(days=1)


@pytest.fixture
def brevaux(owner: sa.Engine) -> int:
    seed(owner)
    return member(owner)


@pytest.fixture
def camille(owner: sa.Engine, brevaux: int) -> Caller:
    return person(owner, "camille", brevaux, "requester")


def tell(worker: sa.Engine) -> int:
    return notices.tell(worker, "worker w", PORTAL, NOW)


def mailed(owner: sa.Engine) -> list[tuple[str, str]]:
    """What was queued since the last time: (template, to whom)."""
    with territory_session(owner, "tests") as session:
        rows = session.execute(sa.delete(Mail).returning(Mail.template, Mail.receiver)).all()
    return sorted((row.template, row.receiver.partition("@")[0]) for row in rows)


def facts(owner: sa.Engine) -> dict[str, Any]:
    with territory_session(owner, "tests") as session:
        return session.scalars(sa.select(Mail.facts).order_by(Mail.id.desc()).limit(1)).one()


def choose(owner: sa.Engine, who: Caller, wanted: str) -> None:
    with territory_session(owner, "tests") as session:
        notices.choose(session, who.account_id, wanted)


@pytest.mark.slow
def test_each_hand_through_which_an_order_goes_is_told(
    owner: sa.Engine, web: sa.Engine, staff: sa.Engine, worker: sa.Engine, brevaux: int, camille: Caller
) -> None:
    adopt(owner, "approver", "dsi")
    noor, dominique = person(owner, "noor", brevaux, "approver"), person(owner, "dominique", None, "dsi_admin")
    choose(owner, noor, "none")  # what waits for her is told all the same
    order = place(web, camille)
    tell(worker)
    assert facts(owner)["path"] == f"/orders/{order.id}"
    assert mailed(owner) == [("order_waiting", "noor")]
    approvals.remind(worker, "worker w", NOW + 3 * DAY)
    tell(worker)
    assert mailed(owner) == [("order_reminder", "noor")]
    with territory_session(staff, noor.actor) as session:
        orders.approve(session, order.id, NOW, noor)
    tell(worker)
    assert mailed(owner) == [("order_waiting", "dominique")]
    with territory_session(staff, dominique.actor) as session:
        approved = orders.approve(session, order.id, NOW, dominique)
    tell(worker)
    assert mailed(owner) == [("order_decided", "camille")]
    with territory_session(owner, "flow 1") as session:
        services.change_state(session, approved.service_id, "failed", NOW)
    tell(worker)
    assert mailed(owner) == [("service_failed", "camille")]
    assert tell(worker) == 0


def test_what_was_decided_meanwhile_is_not_asked_for(
    owner: sa.Engine, web: sa.Engine, worker: sa.Engine, brevaux: int, camille: Caller
) -> None:
    adopt(owner, "approver")
    person(owner, "noor", brevaux, "approver")
    order = place(web, camille)
    with territory_session(owner, camille.actor) as session:
        orders.cancel(session, order.id, NOW)
    tell(worker)
    assert mailed(owner) == []


@pytest.mark.slow
def test_people_choose_what_they_read(
    owner: sa.Engine, web: sa.Engine, staff: sa.Engine, worker: sa.Engine, brevaux: int, camille: Caller
) -> None:
    adopt(owner, "dsi")
    curious, quiet = (person(owner, name, brevaux, "requester") for name in ("curious", "quiet"))
    person(owner, "stranger", member(owner, "orgelune"), "requester")
    choose(owner, curious, "all")
    choose(owner, quiet, "none")
    for who, expected in ((camille, ["camille", "curious"]), (quiet, ["curious"]), (curious, ["curious"])):
        order = place(web, who, f"web-{who.account_id}")
        with territory_session(staff, "cli:root") as session:
            orders.reject(session, order.id, "Non.", NOW)
        tell(worker)
        assert mailed(owner) == [("order_decided", name) for name in expected]


@pytest.mark.slow
def test_a_crash_before_the_commit_loses_and_doubles_nothing(
    owner: sa.Engine, web: sa.Engine, worker: sa.Engine, brevaux: int, camille: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(owner, "approver")
    person(owner, "noor", brevaux, "approver")
    place(web, camille)

    class Killed(BaseException):
        """What a killed worker does: nothing more."""

    with monkeypatch.context() as killed:
        told = notices._tell

        def die(*args: Any) -> None:
            told(*args)
            if args[1].action == "order.place":
                raise Killed

        killed.setattr(notices, "_tell", die)
        with pytest.raises(Killed):
            tell(worker)
    assert mailed(owner) == []
    assert tell(worker) > 0
    assert tell(worker) == 0
    assert mailed(owner) == [("order_waiting", "noor")]


@pytest.mark.slow
def test_several_workers_at_once_tell_once(
    owner: sa.Engine, web: sa.Engine, worker: sa.Engine, brevaux: int, camille: Caller
) -> None:
    adopt(owner, "approver")
    person(owner, "noor", brevaux, "approver")
    names = [f"web-{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        placing = [pool.submit(place, web, camille, name) for name in names]
        telling = [pool.submit(tell, worker) for _ in range(12)]
        for done in (*placing, *telling):
            done.result()
    tell(worker)
    assert mailed(owner) == [("order_waiting", "noor")] * 12
    with territory_session(owner, "tests") as session:
        last = session.scalar(sa.select(sa.func.max(AuditEntry.id)))
        assert session.scalars(sa.select(NoticeMark.entry_id)).one() == last


def test_an_entry_that_breaks_stops_nobody(owner: sa.Engine, worker: sa.Engine, brevaux: int, camille: Caller) -> None:
    with territory_session(owner, "tests") as session:
        audit.record(session, "order.approve", "order of nobody", member_id=brevaux)
        audit.record(session, "webhook.disable", "webhook 1", detail={"account": camille.account_id, "url": "u"})
    tell(worker)
    assert mailed(owner) == [("webhook_disabled", "camille")]


def test_a_held_flow_is_told_to_those_who_can_mend_it(
    owner: sa.Engine, web: sa.Engine, worker: sa.Engine, camille: Caller
) -> None:
    for name, role in (("dominique", "dsi_operator"), ("alix", "dsi_admin"), ("audrey", "auditor")):
        person(owner, name, None, role)
    order = place(web, camille)
    with territory_session(owner, "flow 1") as session:
        flow = session.get_one(Flow, order.flow_id)
        audit.record(session, "flow.hold", f"flow {flow.id}", member_id=flow.member_id, detail={"error": "x"})
    tell(worker)
    assert mailed(owner) == [("flow_trouble", "alix"), ("flow_trouble", "dominique")]


def test_a_budget_is_told_at_each_step_and_again_after_it_was_less(
    owner: sa.Engine, web: sa.Engine, worker: sa.Engine, brevaux: int, camille: Caller
) -> None:
    person(owner, "sacha", brevaux, "finance")
    order = place(web, camille)  # 10.95 a month, 131.40 a year

    def reached(budget: str) -> list[tuple[str, str]]:
        with territory_session(owner, "tests") as session:
            session.execute(sa.update(Budget).values(amount=budget))
        budget_watch.watch(worker, "worker w", NOW)
        tell(worker)
        return mailed(owner)

    assert reached("164.26") == []  # 79.99 %
    assert reached("164.25") == [("budget_reached", "sacha")]  # 80 % exactly
    assert reached("160.00") == []
    assert reached("131.40") == [("budget_reached", "sacha")]
    assert reached("200.00") == []
    assert reached("140.00") == [("budget_reached", "sacha")]
    assert order.state == "approved"


@pytest.mark.slow
def test_webhooks_hear_what_is_theirs(
    owner: sa.Engine, web: sa.Engine, staff: sa.Engine, worker: sa.Engine, settings: Settings, brevaux: int,
    camille: Caller,
) -> None:  # fmt: skip
    box, rules = sealing.box(settings, "tests"), Rules.of((), 1)
    orgelune = person(owner, "lou", member(owner, "orgelune"), "requester")
    dsi = person(owner, "dominique", None, "dsi_admin")
    with territory_session(staff, "dsi") as session:
        ids = {
            name: webhooks.add(session, box, rules, who, name, "https://hook.example/", events, NOW)[0].id
            for name, who, events in (
                ("own", camille, []), ("some", camille, ["service.active"]), ("other", orgelune, []), ("all", dsi, []),
            )
        }  # fmt: skip
    order = place(web, camille)
    tell(worker)
    with territory_session(owner, "tests") as session:
        sent = session.scalars(sa.select(Delivery).where(Delivery.event == "order.placed").order_by(Delivery.id)).all()
        assert [one.endpoint_id for one in sent] == [ids["own"], ids["all"]]
        body = json.loads(sent[0].body)
        assert (body["type"], body["data"]["order"], body["data"]["member"]) == ("order.placed", order.id, "brevaux")
        assert body["data"]["url"] == f"{PORTAL}/orders/{order.id}"
