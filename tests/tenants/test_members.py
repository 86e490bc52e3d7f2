"""Declared members against the database and the real cloud: planned, made, made again, changed, failed."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from api.commands import members as commands
from orchestrator import audit, cloud, places
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import CloudUnavailable, Conflict, NotFound
from orchestrator.places import Change
from orchestrator.settings import ROOT, Settings
from orchestrator.tables import AuditEntry, Member, Place, Service
from tenants import members, members_record
from tenants.declarations import Declaration, load
from tenants.members_subnets import choose
from tests.orchestrator.conftest import CLOUDS

VALLOMBRE = load(ROOT / "tenants" / "territories" / "vallombre")
DECLARED = [declaration for declaration in VALLOMBRE if declaration.slug in {"vallombre", "charmelune", "noirepine"}]
POOL = f"10.{random.randint(231, 249)}.0.0/16"


@pytest.fixture(scope="module")
def territory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A name of our own in the shared cloud; what bears it is gone after these tests."""
    name = f"essai-{uuid.uuid4().hex[:6]}"
    yield name
    settings = Settings(state_dir=tmp_path_factory.mktemp("members"), clouds_file=CLOUDS, _env_file=None)
    site = places.open_site(cloud.connect(settings))
    for declaration in DECLARED:
        places.remove(site, f"{name}-{declaration.slug}")


@pytest.fixture
def ground(settings: Settings, territory: str) -> Cloud:
    """The cloud, with a fresh database: what other tests made in it is adopted."""
    return cloud.connect(
        settings.model_copy(update={"clouds_file": CLOUDS, "territory": territory, "member_networks": POOL})
    )


def _plan(engine: sa.Engine, ground: Cloud, declared: list[Declaration] = DECLARED) -> members.Plan:
    return members.plan(engine, ground, declared, actor="test", tell=lambda _: None)


def _apply(engine: sa.Engine, ground: Cloud, plan: members.Plan) -> dict[str, members.Applied]:
    done = members.apply(engine, ground, plan, actor="test", tell=lambda _: None)
    return {one.slug: one for one in done}


def _change(slug: str, **values: Any) -> list[Declaration]:
    """The declared members, one of them changed."""
    return [each.model_copy(update=values) if each.slug == slug else each for each in DECLARED]


@pytest.mark.cloud
def test_members_are_made_once_and_kept_as_declared(staff: sa.Engine, ground: Cloud) -> None:
    first = _plan(staff, ground)
    assert [member.known for member in first.members] == [None] * 3
    assert all(one.error is None for one in _apply(staff, ground, first).values())
    assert _plan(staff, ground).idle
    assert _apply(staff, ground, _plan(staff, ground)) == {}
    with territory_session(staff, "test") as session:
        known = members_record.read(session)
        actions = session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)).all()
        assert audit.first_break(session) is None
    assert sorted(actions) == ["member.create"] * 3 + ["place.apply"] * 3
    assert known["noirepine"].values["quota.servers"] == 1
    assert known["noirepine"].values["budget.2026"] == Decimal("600.00")
    subnets = [IPv4Network(member.values["subnet_cidr"]) for member in known.values()]
    assert len(set(subnets)) == 3
    assert all(subnet.subnet_of(IPv4Network(POOL)) for subnet in subnets)
    _a_change_is_shown_field_by_field(staff, ground)


def _a_change_is_shown_field_by_field(staff: sa.Engine, ground: Cloud) -> None:
    noirepine = next(member for member in DECLARED if member.slug == "noirepine")
    more = noirepine.quotas.model_copy(update={"servers": 2})
    changed = _change("noirepine", name="Noirépine-le-Bas", quotas=more, budgets={2026: Decimal("700.00")})
    plan = _plan(staff, ground, changed)
    database, in_cloud = plan.members[2].database, plan.members[2].cloud
    assert set(database) == {
        Change("name", "Noirépine", "Noirépine-le-Bas"), Change("quota.servers", "1", "2"),
        Change("budget.2026", "600.00", "700.00"), Change("budget.2027", "630.00", None),
    }  # fmt: skip
    assert set(in_cloud) == {
        Change("project", "Noirépine", "Noirépine-le-Bas"), Change("quota.instances", "1", "2"),
        Change("quota.ports", "6", "7"),
    }  # fmt: skip
    assert _apply(staff, ground, plan)["noirepine"].changes == (*database, *in_cloud)
    assert _plan(staff, ground, changed).idle


@pytest.mark.cloud
def test_what_the_cloud_has_is_adopted_by_a_new_database(staff: sa.Engine, ground: Cloud) -> None:
    _apply(staff, ground, _plan(staff, ground))
    with territory_session(staff, "test") as session:
        before = members_record.read(session)
        session.execute(sa.delete(Place))
    with territory_session(staff, "test") as session:
        session.execute(sa.update(Member).values(subnet_cidr=None))
    plan = _plan(staff, ground)
    assert {change.field for member in plan.members for change in member.cloud} == {"place"}
    _apply(staff, ground, plan)
    with territory_session(staff, "test") as session:
        assert members_record.read(session) == before


@pytest.mark.cloud
def test_one_failure_does_not_stop_the_others(staff: sa.Engine, owner: sa.Engine, ground: Cloud) -> None:
    plan = _plan(staff, ground)
    charmelune = next(member for member in plan.members if member.slug == "charmelune")
    with owner.begin() as connection:  # somebody takes its SIRET between the plan and the apply
        connection.execute(
            sa.insert(Member).values(
                slug="squatter", name="S", kind="commune", siren=charmelune.declaration.siren,
                siret=charmelune.declaration.siret,
            )
        )  # fmt: skip
    done = _apply(staff, ground, plan)
    failures = {slug: one.error.code for slug, one in done.items() if one.error}
    assert failures == {"charmelune": "member_conflict"}
    again = _plan(staff, ground)
    assert [member.slug for member in again.members if member.problem] == ["charmelune"]
    assert again.members[1].problem.code == "member_renamed"  # type: ignore[union-attr]
    assert again.undeclared == ("squatter",)


@pytest.mark.cloud
def test_only_one_apply_at_a_time(staff: sa.Engine, owner: sa.Engine, ground: Cloud) -> None:
    plan = replace(_plan(staff, ground), members=())
    with owner.connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": members.LOCK})
        with pytest.raises(Conflict) as refused:
            _apply(staff, ground, plan)
        assert refused.value.code == "apply_running"
    connection.engine.dispose()
    assert _apply(staff, ground, plan) == {}


@pytest.mark.cloud
def test_the_command_plans_asks_and_applies(
    staff: sa.Engine, ground: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ROOT / "tenants" / "territories" / "vallombre"
    folder = tmp_path / ground.settings.territory
    folder.mkdir()
    for name in ("territory", "noirepine"):
        (folder / f"{name}.yaml").write_text((source / f"{name}.yaml").read_text())
    chosen = ground.settings.model_copy(update={"territories_dir": tmp_path})
    monkeypatch.setattr(commands.settings, "load", lambda: chosen)
    run = CliRunner().invoke
    assert run(commands.command, ["plan", "--check"]).exit_code == commands.SOMETHING_TO_DO
    assert run(commands.command, ["apply"], input="n\n").exit_code == 1
    applied = run(commands.command, ["apply"], input="y\n")
    assert applied.exit_code == 0, applied.output
    again = run(commands.command, ["plan", "--check", "--json"])
    assert again.exit_code == 0
    assert json.loads(again.stdout)["undeclared"] == []
    assert "Rien à faire" in run(commands.command, ["apply", "--yes"]).stdout
    shown = json.loads(run(commands.command, ["show", "noirepine", "--json"]).stdout)
    assert shown["budget.2026"] == "600.00"
    listed = json.loads(run(commands.command, ["list", "--json"]).stdout)
    assert {row["slug"] for row in listed} == {"vallombre", "noirepine"}


@pytest.mark.cloud
def test_a_place_goes_but_the_member_stays(staff: sa.Engine, ground: Cloud) -> None:
    declared = [declaration for declaration in DECLARED if declaration.slug == "noirepine"]
    _apply(staff, ground, _plan(staff, ground, declared))
    with territory_session(staff, "test") as session:
        member_id = members.find(session, "noirepine").id
        session.add(Service(member_id=member_id, name="web", specification={}, state="active"))
    with pytest.raises(Conflict) as refused:
        members.remove(staff, ground, "noirepine", actor="test")
    assert refused.value.code == "member_has_services"
    with territory_session(staff, "test") as session:
        session.execute(sa.update(Service).values(state="deleted"))
    assert members.remove(staff, ground, "noirepine", actor="test")
    with territory_session(staff, "test") as session:
        assert members_record.read(session)["noirepine"].place is None


def test_a_cloud_that_is_down_changes_nothing(staff: sa.Engine, settings: Settings) -> None:
    path = settings.state_dir / "clouds.yaml"
    auth = "auth: {auth_url: 'http://127.0.0.1:9/v3', username: u, password: p, project_name: p}"
    path.write_text(f"clouds: {{clocher: {{{auth}, region_name: r}}}}")
    with pytest.raises(CloudUnavailable):
        _plan(staff, cloud.connect(settings.model_copy(update={"clouds_file": path})))
    with territory_session(staff, "test") as session:
        assert members_record.read(session) == {}


def test_the_record_holds_what_is_declared(staff: sa.Engine) -> None:
    wanted = {member.slug: members_record.values(member, f"10.0.{n}.0/24") for n, member in enumerate(VALLOMBRE)}
    for _ in range(2):
        with territory_session(staff, "test") as session:
            for slug, values in wanted.items():
                members_record.write(session, slug, values)
    with territory_session(staff, "test") as session:
        known = members_record.read(session)
    assert all(members_record.differences(known[slug].values, values) == [] for slug, values in wanted.items())
    assert known["charmelune"].values["quota.ram_mib"] == 80 * 1024


def test_the_database_keeps_subnets_apart(staff: sa.Engine) -> None:
    first, second = (members_record.values(member, "10.0.0.0/24") for member in VALLOMBRE[:2])
    with territory_session(staff, "test") as session:
        members_record.write(session, "first", first)
    with pytest.raises(IntegrityError, match="subnets_apart"), territory_session(staff, "test") as session:
        members_record.write(session, "second", second | {"subnet_cidr": "10.0.0.128/25"})


def test_an_unknown_member_is_told(staff: sa.Engine) -> None:
    with pytest.raises(NotFound) as refused, territory_session(staff, "test") as session:
        members.find(session, "nowhere")
    assert refused.value.code == "unknown_member"


@given(st.sets(st.integers(0, 255), max_size=40), st.integers(20, 26), st.integers(0, 12))
def test_chosen_subnets_overlap_nobody(taken: set[int], prefix: int, count: int) -> None:
    used = [f"10.80.{third}.0/24" for third in sorted(taken)]
    try:
        chosen = choose("10.80.0.0/16", prefix, used, count)
    except Conflict as full:
        assert full.code == "no_free_subnet"
        return
    networks = [IPv4Network(network) for network in (*chosen, *used)]
    assert len(chosen) == count
    assert not any(a.overlaps(b) for n, a in enumerate(networks[:count]) for b in networks[n + 1 :])


def test_a_pool_that_is_used_up_is_told() -> None:
    with pytest.raises(Conflict) as refused:
        choose("10.80.0.0/23", 24, ["10.80.0.0/24"], 2)
    assert refused.value.code == "no_free_subnet"
