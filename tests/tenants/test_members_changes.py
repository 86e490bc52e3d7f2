"""A member made in the pages: asked for, planned and made by a worker on the real cloud, changed, closed."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from orchestrator import audit, cloud, places
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import AuditEntry, Member, Service, Worker
from tenants import members, members_changes, members_form, members_record, members_working
from tenants.declarations_yaml import parse
from tenants.tables_administration import MemberChange
from tests.orchestrator.conftest import CLOUDS

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
POOL = f"10.{random.randint(200, 230)}.0.0/16"


def _document(**values: Any) -> dict[str, Any]:
    document = {
        "slug": "orgelune", "name": "Orgelune", "kind": "commune", "siren": "732829320", "siret": "73282932000074",
        "insee_code": "00012", "population": "1200",
        "contacts": [{"name": "Ada Morel", "role": "Secrétaire", "email": "ada@orgelune.example"}],
        "quotas": {"servers": "2", "vcpus": "4", "ram_gib": "8", "volumes": "2", "disk_gib": "50",
                   "public_addresses": "1"},
        "budgets": {"2026": "1200.00"}, "admin_networks": ["192.0.2.0/28"],
    }  # fmt: skip
    return document | values


@pytest.fixture
def ground(settings: Settings) -> Iterator[Cloud]:
    """The cloud under a name of our own; what bears it is gone afterwards."""
    name = f"essai-{uuid.uuid4().hex[:6]}"
    chosen = {"clouds_file": CLOUDS, "territory": name, "member_networks": POOL}
    made = cloud.connect(settings.model_copy(update=chosen))
    yield made
    places.remove(places.open_site(made), f"{name}-orgelune")


def _ask(engine: sa.Engine, document: dict[str, Any], *, new: bool = True) -> int:
    with territory_session(engine, "Hélène") as session:
        return members_changes.ask(session, document, new=new).id


def _read(engine: sa.Engine, change_id: int) -> MemberChange:
    with territory_session(engine, "test") as session:
        return members_changes.find(session, change_id)


def _confirm(engine: sa.Engine, change_id: int) -> None:
    with territory_session(engine, "Hélène") as session:
        members_changes.confirm(session, change_id, NOW)


def _known(engine: sa.Engine) -> dict[str, members_record.Known]:
    with territory_session(engine, "test") as session:
        return members_record.read(session)


@pytest.mark.cloud
def test_a_member_is_made_changed_and_closed(staff: sa.Engine, worker: sa.Engine, ground: Cloud) -> None:
    runtime = Runtime(ground.settings, worker, ground)
    change_id = _ask(staff, _document())
    members_working.work(runtime)
    planned = _read(staff, change_id)
    assert (planned.state, planned.error_code) == ("planned", None)
    assert planned.plan is not None
    assert planned.plan["new"]
    assert {"field": "origin", "old": None, "new": "made"} in planned.plan["database"]
    assert _known(staff) == {}  # a plan changes nothing
    _confirm(staff, change_id)
    members_working.work(runtime)
    done = _read(staff, change_id)
    assert (done.state, done.error_code, done.worker_id) == ("done", None, None)
    assert done.member_id is not None
    assert len(done.told) > 5
    known = _known(staff)["orgelune"]
    assert known.place is not None
    assert members_form.document(known) == _document(subnet=known.values["subnet_cidr"])
    _a_file_leaves_it(staff, ground)
    _a_change_is_what_was_confirmed(staff, runtime)
    _closing_says_what_lives(staff, runtime)
    with territory_session(staff, "test") as session:
        actors = {row.action: row.actor for row in session.execute(sa.select(AuditEntry.action, AuditEntry.actor))}
        assert audit.first_break(session) is None
    assert actors["member.create"] == actors["member.close"] == actors["place.apply"] == "Hélène"


def _a_file_leaves_it(staff: sa.Engine, ground: Cloud) -> None:
    file = members_form.read(_document(name="Orgelune du fichier"))
    found = members.plan(staff, ground, [file], actor="cli", tell=lambda _: None)
    assert (found.members, found.undeclared, found.kept) == ((), (), ("orgelune",))
    assert members.plan(staff, ground, [], actor="cli", tell=lambda _: None).undeclared == ()
    taken = members.plan(staff, ground, [file], actor="cli", tell=lambda _: None, take=["orgelune"])
    assert {change.field for change in taken.members[0].database} == {"name", "origin"}


def _a_change_is_what_was_confirmed(staff: sa.Engine, runtime: Runtime) -> None:
    """What changed behind the plan is shown before it is done."""
    change_id = _ask(staff, _document(population="1300"), new=False)
    members_working.work(runtime)
    plan = _read(staff, change_id).plan
    assert plan is not None
    assert (plan["database"], plan["cloud"]) == ([{"field": "population", "old": "1200", "new": "1300"}], [])
    with territory_session(staff, "test") as session:
        session.execute(sa.update(Member).values(name="Autre"))
    _confirm(staff, change_id)
    members_working.work(runtime)
    again = _read(staff, change_id)
    assert (again.state, again.error_code) == ("planned", "plan_changed")
    _confirm(staff, change_id)
    members_working.work(runtime)
    assert _read(staff, change_id).state == "done"
    assert _known(staff)["orgelune"].values["population"] == 1300


def _closing_says_what_lives(staff: sa.Engine, runtime: Runtime) -> None:
    with territory_session(staff, "test") as session:
        member_id = members.find(session, "orgelune").id
        session.add(Service(member_id=member_id, name="web", specification={}, state="active"))
    with pytest.raises(Conflict) as refused, territory_session(staff, "Hélène") as session:
        members_changes.ask_closing(session, "orgelune")
    assert (refused.value.code, refused.value.facts) == ("member_has_services", {"services": ["web"]})
    with territory_session(staff, "test") as session:
        session.execute(sa.update(Service).values(state="deleted"))
    with territory_session(staff, "Hélène") as session:
        change_id = members_changes.ask_closing(session, "orgelune").id
    _confirm(staff, change_id)
    members_working.work(runtime)
    assert _read(staff, change_id).state == "done"
    closed = _known(staff)["orgelune"]
    assert (closed.values["state"], closed.place) == ("closed", None)


def test_faults_are_told_by_field(staff: sa.Engine) -> None:
    wrong = _document(siren="732829321", insee_code="12", contacts=[], budgets={"26": "x"})
    with pytest.raises(InvalidInput) as refused:
        _ask(staff, wrong)
    faults = {fault["parameter"]: fault["code"] for fault in refused.value.facts["errors"]}
    assert faults == {"siren": "invalid_siren", "insee_code": "invalid_declaration", "contacts": "invalid_declaration",
                      "budgets.26": "invalid_declaration"}  # fmt: skip


def test_one_change_at_a_time_and_none_of_an_unknown_member(staff: sa.Engine) -> None:
    first = _ask(staff, _document())
    with pytest.raises(Conflict) as refused:
        _ask(staff, _document(population="3"))
    assert (refused.value.code, refused.value.facts) == ("change_running", {"change": first})
    with pytest.raises(NotFound):
        _ask(staff, _document(slug="nowhere"), new=False)
    with pytest.raises(Conflict) as early:
        _confirm(staff, first)
    assert early.value.code == "not_planned"


def test_a_slug_or_siret_that_is_taken_is_a_fault_of_the_field(owner: sa.Engine, staff: sa.Engine) -> None:
    with territory_session(owner, "test") as session:
        values = members_record.values(members_form.read(_document()), "10.0.0.0/24")
        members_record.write(session, "orgelune", values)
    for document, field in ((_document(), "slug"), (_document(slug="autre"), "siret")):
        with pytest.raises(InvalidInput) as refused:
            _ask(staff, document)
        assert [fault["parameter"] for fault in refused.value.facts["errors"]] == [field]


def test_a_dead_workers_change_is_taken_and_a_living_ones_left(
    staff: sa.Engine, owner: sa.Engine, worker: sa.Engine, settings: Settings
) -> None:
    change_id = _ask(staff, _document())
    nowhere = settings.model_copy(update={"clouds_file": settings.state_dir / "none.yaml"})
    runtime = Runtime(nowhere, worker, Cloud(None, nowhere))
    with territory_session(owner, "test") as session:
        session.add(Worker(id="other", host="h", pid=1))
        session.execute(sa.update(MemberChange).values(worker_id="other"))
    members_working.work(runtime)
    assert _read(staff, change_id).state == "planning"
    with territory_session(owner, "test") as session:
        session.execute(sa.update(Worker).values(seen_at=NOW.replace(year=2020)))
    members_working.work(runtime)
    failed = _read(staff, change_id)
    assert (failed.state, failed.error_code) == ("failed", "internal_error")  # there is no cloud here
    assert failed.ended_at is not None


def test_an_export_reads_back_as_the_same_member(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        values = members_record.values(members_form.read(_document(subnet="10.0.0.0/24")), "10.0.0.0/24", "made")
        members_record.write(session, "orgelune", values)
    text = members_form.as_yaml(members_form.document(_known(staff)["orgelune"]))
    assert members_form.read(parse(text)[0]) == members_form.read(_document(subnet="10.0.0.0/24"))
    assert "SIRET" not in text
    assert yaml.safe_load(text)["insee_code"] == "00012"
