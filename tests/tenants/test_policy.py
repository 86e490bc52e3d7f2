"""Who must be asked: rules as data, versions of them, and the boundary of an amount."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.tables import AuditEntry
from tenants import policy
from tenants.policy import Policy
from tenants.tables import Offer
from tests.tenants.approving import ALL, person, place
from tests.tenants.ordering import NOW, member, seed

SMALL = Offer(slug="vm-small", kind="vm", approval="none")
WATCHED = Offer(slug="vm-xlarge", kind="vm", approval="dsi")
STACK = Offer(slug="nextcloud", kind="stack", approval="none")


def rules(*given: dict[str, Any]) -> Policy:
    return Policy.model_validate({"rules": [{"name": ALL, **rule} for rule in given]})


@pytest.mark.parametrize(
    ("monthly", "steps"), [("0", ()), ("99.99", ()), ("100.00", ()), ("100.01", ("approver",)), ("250.01", ("dsi",))]
)
def test_an_amount_is_allowed_up_to_the_cent(monthly: str, steps: tuple[str, ...]) -> None:
    bounded = rules({"monthly_above": "250.00", "steps": ["dsi"]}, {"monthly_above": "100.00", "steps": ["approver"]})
    assert bounded.chain(SMALL, "create", Decimal(monthly)) == steps


def test_the_first_rule_that_fits_decides() -> None:
    several = rules(
        {"offers": ["vm-small"], "steps": []},
        {"kinds": ["stack"], "orders": ["create"], "steps": ["approver", "dsi"]},
        {"orders": ["delete"], "steps": ["approver"]},
        {"steps": ["finance"]},
    )
    assert several.chain(SMALL, "create", Decimal(1000)) == ()
    assert several.chain(STACK, "create", Decimal(0)) == ("approver", "dsi")
    assert several.chain(STACK, "change", Decimal(0)) == ("finance",)
    assert several.chain(STACK, "delete", Decimal(0)) == ("approver",)


def test_what_an_offer_wants_is_asked_once_and_last() -> None:
    assert rules().chain(WATCHED, "create", Decimal(0)) == ("dsi",)
    assert rules({"steps": ["approver"]}).chain(WATCHED, "create", Decimal(0)) == ("approver", "dsi")
    assert rules({"steps": ["dsi", "finance"]}).chain(WATCHED, "change", Decimal(0)) == ("dsi", "finance")
    assert rules().chain(WATCHED, "delete", Decimal(0)) == ()


def test_an_order_at_the_boundary(owner: sa.Engine, web: sa.Engine) -> None:
    seed(owner)
    camille = person(owner, "camille", member(owner), "requester")

    def above(monthly: str) -> None:  # vm-small costs 10.95
        with territory_session(owner, "tests") as session:
            document = {"rules": [{"name": ALL, "monthly_above": monthly, "steps": ["dsi"]}]}
            policy.adopt(session, policy.draft(session, document, NOW).version, NOW)

    above("10.94")
    assert place(web, camille, "one").state == "waiting"
    above("10.95")
    assert place(web, camille, "two").state == "approved"


def test_the_file_is_the_first_version(owner: sa.Engine, staff: sa.Engine) -> None:
    with territory_session(staff, "dsi") as session:
        assert policy.current(session) == policy.Adopted(1, policy.load())
        assert policy.listed(session) == []
        drafted = policy.draft(session, {"rules": []}, NOW)
        assert (drafted.version, policy.current(session).policy) == (2, policy.load())
        policy.adopt(session, 2, NOW)
        assert policy.current(session) == policy.Adopted(2, Policy())
        assert [row.state for row in policy.listed(session)] == ["adopted", "replaced"]
        assert policy.draft(session, {"rules": []}, NOW).version == 3
        policy.discard(session, 3, NOW)
        for version, kind, code in ((2, Conflict, "policy_decided"), (3, Conflict, "policy_decided"),
                                    (4, NotFound, "not_found")):  # fmt: skip
            with pytest.raises(kind) as error:
                policy.adopt(session, version, NOW)
            assert error.value.code == code
        told = session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)).all()
        assert told == ["policy.draft", "policy.adopt", "policy.draft", "policy.discard"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"rules": [{"name": ALL, "steps": ["mayor"]}]}, "rules.0.steps.0"),
        ({"rules": [{"name": ALL, "steps": ["dsi", "dsi"]}]}, "rules.0"),
        ({"rules": [{"name": ALL, "monthly_above": "-1"}]}, "rules.0.monthly_above"),
        ({"rules": [{"name": {"fr": "Sans anglais"}}]}, "rules.0.name.en"),
        ({"steps": {"dsi": {"expires_days": 5, "remind_days": [5]}}}, "steps.dsi"),
        ({"anything": 1}, "anything"),
    ],
)
def test_a_wrong_policy_says_where(staff: sa.Engine, document: dict[str, Any], field: str) -> None:
    with territory_session(staff, "dsi") as session, pytest.raises(InvalidInput) as error:
        policy.draft(session, document, NOW)
    assert error.value.code == "invalid_policy"
    assert [fault["field"] for fault in error.value.facts["faults"]] == [field]
