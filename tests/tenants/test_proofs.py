"""Proofs that backups can be restored: asked for, due every month, told when they fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestrator.ansible import Outcome
from orchestrator.database import member_session, territory_session
from orchestrator.errors import ClocherError
from orchestrator.settings import ROOT, Settings
from orchestrator.steps_stack import counted
from orchestrator.tables import AuditEntry, Service
from orchestrator.tables_backups import Backup
from tenants import backups, backups_working, notices, stacks
from tenants.tables_notices import Mail
from tests.tenants.approving import person
from tests.tenants.ordering import NOW
from tests.tenants.test_backups import NIGHT
from tests.tenants.vaulted import HOUR, PARIS, Valley, backed_up, refused

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    return backed_up(owner, settings, NIGHT)


def prove_due(place: Valley, at: datetime) -> int | None:
    with territory_session(place.owner, "worker tests") as session:
        return backups_working.prove_due(session, at, HOUR, PARIS)


def last(place: Valley) -> Backup:
    with territory_session(place.owner, "tests") as session:
        return session.scalars(sa.select(Backup).order_by(Backup.id.desc())).one()


def test_one_is_asked_for_and_dated(place: Valley, web: sa.Engine) -> None:
    made = last(place)
    with member_session(web, place.commune, "agent") as session:
        flow = backups.prove(session, place.service_id, made.id)
        assert (flow.kind, flow.parameters) == ("prove_backup", {"backup_id": made.id})
    place.proved(NIGHT)
    proof = last(place)
    assert (proof.proved_at, proof.proof_seconds, proof.meters) == (NIGHT, 61, {"pages": 1})
    with territory_session(place.owner, "tests") as session:
        seen = backups.kept(session, session.get_one(Service, place.service_id), NIGHT, HOUR, PARIS)
        assert seen and seen.proof and (seen.proof.id, seen.refuted) == (made.id, None)
        asked = sa.select(AuditEntry.actor, AuditEntry.action).where(AuditEntry.action.contains("prove"))
        assert [tuple(row) for row in session.execute(asked)] == [
            ("agent", "backup.prove"), ("flow tests", "backup.proved"),
        ]  # fmt: skip


def test_what_was_not_counted_can_not_be_proved(place: Valley, web: sa.Engine) -> None:
    with territory_session(place.owner, "tests") as session:
        session.execute(sa.update(Backup).values(meters=sa.null()))
    with refused("backup_uncounted"), member_session(web, place.commune, "agent") as session:
        backups.prove(session, place.service_id, last(place).id)
    assert prove_due(place, NIGHT) is None


def test_a_web_process_can_not_say_that_it_is_proved(place: Valley, web: sa.Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError), member_session(web, place.commune, "agent") as session:
        session.execute(sa.update(Backup).values(proved_at=NOW, proof_seconds=1))


def test_each_service_is_proved_once_a_month_at_night(place: Valley) -> None:
    assert prove_due(place, NIGHT + timedelta(hours=5, minutes=1)) is None  # by day
    assert prove_due(place, NIGHT + timedelta(hours=1)) == place.service_id
    assert prove_due(place, NIGHT + timedelta(hours=1)) is None  # that one runs
    place.proved(NIGHT + timedelta(hours=2))
    assert prove_due(place, NIGHT + 30 * DAY) is None
    assert prove_due(place, NIGHT + 31 * DAY) == place.service_id


def test_one_that_failed_is_tried_again_the_next_night(place: Valley) -> None:
    assert prove_due(place, NIGHT) == place.service_id
    place.proved(NIGHT, good=False)
    with territory_session(place.owner, "tests") as session:
        seen = backups.kept(session, session.get_one(Service, place.service_id), NIGHT, HOUR, PARIS)
        assert seen and seen.refuted == NIGHT
    assert prove_due(place, NIGHT + timedelta(hours=4)) is None
    assert prove_due(place, NIGHT + DAY + timedelta(hours=1)) == place.service_id


def test_a_service_that_is_off_waits(place: Valley) -> None:
    place.specify(place.service_id, state="stopped")
    assert prove_due(place, NIGHT) is None
    place.specify(place.service_id, state="active")
    place.specify(place.vault_id, state="stopped")
    assert prove_due(place, NIGHT) is None


def test_member_and_dsi_are_told_of_one_that_failed(place: Valley, owner: sa.Engine) -> None:
    person(owner, "camille", place.commune, "requester")
    person(owner, "noor", None, "dsi_operator")
    prove_due(place, NIGHT)
    place.proved(NIGHT, good=False)
    notices.tell(owner, "tests", "https://cloud.example", NIGHT)
    with territory_session(owner, "tests") as session:
        told = session.execute(sa.select(Mail.receiver, Mail.facts["made"].as_string())
                               .where(Mail.template == "backup_unproved")).all()  # fmt: skip
    assert sorted(map(tuple, told)) == [(f"{who}@vallombre.example", NIGHT.isoformat()) for who in ("camille", "noor")]


def test_flows_know_which_meters_move() -> None:
    known = stacks.read(ROOT / "playbooks" / "stacks" / "website").model_dump(mode="json", exclude_none=True)
    assert stacks.specification(known, {})["stack"]["moving"] == ["visits", "media_mib"]


def test_only_whole_numbers_are_counted() -> None:
    good = Outcome(0, 1, 1.0, {"result": {"meters": {"pages": 2}}})
    assert counted(good) == {"pages": 2}
    for data in ({}, {"result": {}}, {"result": {"meters": {"pages": "2"}}}, {"result": {"meters": [2]}}):
        with pytest.raises(ClocherError) as raised:
            counted(replace(good, data=data))
        assert raised.value.code == "usage_missing"
