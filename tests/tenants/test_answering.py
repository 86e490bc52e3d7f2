"""Other answers to what a running application asks: which may change, looked at first, ordered, decided."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.tables import AuditEntry, Flow, Service
from tenants import answering
from tenants.tables import Offer
from tests.tenants.applications import greeting
from tests.tenants.test_changes import change, create, end, preview, refused


@pytest.fixture
def service(owner: sa.Engine) -> Service:
    return greeting(owner)


def faults(error: Any) -> list[str]:
    return [fault["parameter"] for fault in error.facts["errors"]]


def test_a_change_of_answers_is_seen_before_it_is_ordered(web: sa.Engine, service: Service) -> None:
    seen = preview(web, service.member_id, service.id, answers={"greeting": "Salut"})
    assert (seen.kind, seen.difference, seen.steps, seen.refused, seen.harmful) == ("parameters", 0, (), None, False)
    assert str(seen.effects[0]) == "« Salut » : Bonjour devient Salut."
    assert seen.limits == seen.limits[-1:], "no quota is touched, the budget alone is told"


@pytest.mark.slow
def test_answers_are_ordered_and_the_flow_brings_them(owner: sa.Engine, web: sa.Engine, service: Service) -> None:
    order = change(web, service.member_id, service.id, key="k1", answers={"greeting": "Salut"})
    again = change(web, service.member_id, service.id, key="k1", answers={"greeting": "Salut"})
    assert (order.id, order.kind, order.state, order.difference) == (again.id, "parameters", "approved", 0)
    brought = order.parameters["answers"]
    assert brought == {"greeting": "Salut", "contact": "", "until": ""}
    refused("request_key_reused", Conflict, change, web, service.member_id, service.id, key="k1",
            answers={"greeting": "Non"})  # fmt: skip
    with territory_session(owner, "tests") as session:
        flow = session.get_one(Flow, order.flow_id)
        assert (flow.kind, flow.parameters) == (
            "change_parameters",
            {"wanted": {"answers": order.parameters["answers"]}},
        )
        assert session.get_one(Service, service.id).specification["answers"]["greeting"] == "Bonjour"
        told = session.scalars(sa.select(AuditEntry).where(AuditEntry.subject == f"order {order.id}")).one()
        assert told.detail["wanted"] == {"answers": {"greeting": "Salut"}}
    refused("flow_running", Conflict, change, web, service.member_id, service.id, answers={"greeting": "Hop"})
    end(owner, order.flow_id, "done")
    bigger = change(web, service.member_id, service.id, disk_gib=2)
    assert bigger.state == "approved", "the order of answers counts as what the service is made of"


@pytest.mark.slow
def test_only_what_is_declared_changes_and_only_as_its_rule_says(
    owner: sa.Engine, web: sa.Engine, service: Service
) -> None:
    commune = service.member_id
    fixed = refused("parameter_fixed", InvalidInput, preview, web, commune, service.id, answers={"contact": "a@b.fr"})
    assert faults(fixed) == ["contact"]
    wrong = refused(
        "invalid_parameter", InvalidInput, preview, web, commune, service.id, answers={"greeting": "x" * 61}
    )
    assert faults(wrong) == ["greeting"]
    refused("unknown_parameter", InvalidInput, preview, web, commune, service.id, answers={"colour": "red"})
    refused("unknown_parameter", InvalidInput, preview, web, commune, service.id, answers={"disk_gib": 9})
    refused("nothing_changes", InvalidInput, preview, web, commune, service.id, answers={"greeting": "Bonjour"})
    refused("invalid_change", InvalidInput, preview, web, commune, service.id, answers={})
    machine = create(owner, web, commune)
    refused("unknown_parameter", InvalidInput, preview, web, commune, machine, answers={"greeting": "Salut"})
    with territory_session(owner, "tests") as session:
        session.get_one(Service, service.id).state = "stopped"
    seen = preview(web, commune, service.id, answers={"greeting": "Salut"})
    assert seen.refused and seen.refused.code == "not_allowed_now"


def test_what_was_agreed_to_is_agreed_to_again(owner: sa.Engine, web: sa.Engine, service: Service) -> None:
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Offer).where(Offer.slug == "hello").values(approval="dsi"))
    order = change(web, service.member_id, service.id, answers={"greeting": "Salut"})
    assert (order.state, order.flow_id) == ("waiting", None)
    assert preview(web, service.member_id, service.id, answers={"greeting": "Salut"}).steps == ("dsi",)


def test_the_rules_are_those_of_the_version_that_runs(owner: sa.Engine, service: Service) -> None:
    with territory_session(owner, "tests") as session:
        offer = session.scalars(sa.select(Offer).where(Offer.slug == "hello")).one()
        columns = {c.key: getattr(offer, c.key) for c in Offer.__table__.columns if c.key not in ("id", "created_at")}
        offer.state = "withdrawn"
        session.flush()
        stack = {
            **offer.stack,
            "versions": [{"version": "2", "brings": {"fr": "a", "en": "a"}}, *offer.stack["versions"]],
        }
        session.add(
            Offer(**columns | {"version": 2, "state": "published", "stack": stack, "parameters": {"rules": []}})
        )
        session.flush()
        own = session.get_one(Service, service.id)
        assert [rule["name"] for rule in answering.changeable(session, own)] == ["greeting"]
        listed = {row["name"]: (row["answer"], row["changeable"]) for row in answering.listed(session, own)}
        assert listed == {"greeting": ("Bonjour", True), "contact": ("", False), "until": ("", False)}
