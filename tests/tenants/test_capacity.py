"""How full the cloud is: read from the real one, kept by the hour, and the day when it will be full."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from orchestrator import cloud, cloud_projects, places
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import Place, Resource, ResourceEvent, Service
from tenants import capacity, capacity_trend
from tenants.capacity_trend import trend
from tenants.tables_administration import CapacitySample, CloudUsage
from tests.orchestrator.conftest import CLOUDS, QUOTAS, ids  # noqa: F401  (a fixture)
from tests.tenants.ordering import QUOTA, member

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 12, 34, tzinfo=UTC)


def _days(*used: int) -> list[tuple[date, Decimal]]:
    return [(TODAY - timedelta(days=len(used) - 1 - n), Decimal(held)) for n, held in enumerate(used)]


def test_a_steady_growth_says_when_it_is_full() -> None:
    found = trend(_days(*range(10, 40)), Decimal(100), TODAY)
    assert (found.per_day, found.days_left, found.days) == (1, 61, 30)


def test_one_odd_day_does_not_bend_the_line() -> None:
    found = trend(_days(*range(10, 25), 90, *range(26, 40)), Decimal(100), TODAY)
    assert (found.per_day, found.days_left) == (1, 61)


def test_few_days_say_nothing() -> None:
    assert trend(_days(1, 2, 3, 4, 5, 6), Decimal(100), TODAY).per_day is None
    assert trend([], Decimal(100), TODAY).days == 0
    assert trend([(TODAY, Decimal(1))] * 20, Decimal(100), TODAY).per_day is None


def test_what_does_not_grow_does_not_fill() -> None:
    assert trend(_days(*[5] * 20), Decimal(100), TODAY).days_left is None
    assert trend(_days(*range(40, 10, -1)), Decimal(100), TODAY).days_left is None


def test_what_is_full_is_full_today() -> None:
    assert trend(_days(*range(80, 101)), Decimal(100), TODAY).days_left == 0


@given(st.lists(st.integers(0, 10_000), min_size=7, max_size=40), st.integers(1, 20_000))
def test_a_forecast_is_never_in_the_past(used: list[int], room: int) -> None:
    found = trend(_days(*used), Decimal(room), TODAY)
    assert found.days_left is None or 0 <= found.days_left <= capacity_trend.FARTHEST


def test_samples_are_summed_by_hour_and_the_last_hour_of_a_day_counts(staff: sa.Engine, worker: sa.Engine) -> None:
    with territory_session(worker, "test") as session:
        for ago in range(10):
            for hour, more in ((8, 0), (18, 5)):
                at = (NOW - timedelta(days=ago + 1)).replace(hour=hour, minute=0)
                for host in ("h1", "h2"):
                    session.add(
                        CapacitySample(at=at, resource="VCPU", place=host, total=64, reserved=4, ratio=Decimal("4.0"),
                                       used=50 - ago + more)
                    )  # fmt: skip
    with territory_session(staff, "test") as session:
        [found] = capacity_trend.summary(session, NOW)
    assert (found["total"], found["reserved"], found["room"], found["used"]) == (128, 8, 480, 110)
    assert found["left"] == 370
    assert [used for _, used, _ in found["days"]] == [92, 94, 96, 98, 100, 102, 104, 106, 108, 110]
    assert found["trend"].per_day == 2
    assert [place.place for place, _ in found["places"]] == ["h1", "h2"]


def test_use_is_compared_with_what_is_held(owner: sa.Engine, staff: sa.Engine) -> None:
    read, unread = member(owner), member(owner, "orgelune")
    with territory_session(owner, "test") as session:
        used = dict.fromkeys(QUOTA, 0) | {"servers": 2}
        limits = QUOTA | {"vcpus": 7, "disk_gib": QUOTA["disk_gib"] * 6, "volumes": QUOTA["volumes"] * 4}
        session.add(CloudUsage(member_id=read, read_at=NOW, limits=limits, **used | {"disk_gib": 12, "volumes": 1}))
        # A copy of a volume, and that volume, whose place a restored one took: the cloud counts them, no order does.
        _copy(session, read, gib=7)
    with territory_session(staff, "test") as session:
        first, second = capacity.quota_use(session, 2)
    assert (first["slug"], second["slug"], unread > 0) == ("brevaux", "orgelune", True)
    odd = {name for name, count in first["counts"].items() if count["odd"]}
    assert odd == {"servers", "vcpus"}  # two that no order holds; another limit than ours
    limit = QUOTA["disk_gib"]
    assert first["counts"]["disk_gib"] == {"limit": limit, "held": 0, "used": 0, "cloud_limit": limit, "odd": False}
    assert second["read_at"] is None
    assert second["counts"]["servers"] == {"limit": 50, "held": 0, "used": None, "cloud_limit": None, "odd": False}


def _copy(session: Session, member_id: int, gib: int) -> None:
    service = Service(member_id=member_id, name="web", specification={}, state="active")
    session.add(service)
    session.flush()
    more = {"member_id": member_id, "service_id": service.id}
    copy = Resource(kind="volume_snapshot", role="snapshot-1/main", cloud_id="c", created_at=NOW, **more)
    times = {"created_at": NOW - timedelta(hours=1), "deleted_at": NOW + timedelta(hours=1)}
    old = Resource(kind="volume", role="replaced-9/main", cloud_id="v", **times, **more)
    free = Resource(kind="volume", role="replaced-9/photos", cloud_id="w", **times, **more)  # nothing is of that one
    session.add_all((copy, old, free))
    session.flush()
    for volume in (old, free):
        session.add(ResourceEvent(resource_id=volume.id, member_id=member_id, kind="created", at=NOW, disk_gib=5))
    session.add(ResourceEvent(resource_id=copy.id, member_id=member_id, kind="created", at=NOW, disk_gib=gib))


@pytest.mark.cloud
def test_the_real_cloud_is_read_once_an_hour(
    settings: Settings,
    owner: sa.Engine,
    worker: sa.Engine,
    ids: places.Ids,  # noqa: F811
) -> None:
    own = settings.model_copy(update={"clouds_file": CLOUDS, "storage_gib": 500})
    runtime = Runtime(own, worker, cloud.connect(own))
    member_id = member(owner, **QUOTAS)
    with territory_session(owner, "test") as session:
        session.add(
            Place(member_id=member_id, project_id=ids.project_id, network_id="n", subnet_id="s", router_id="r",
                  security_group_id="g")
        )  # fmt: skip
    capacity.watch(runtime)
    capacity.watch(runtime)
    with territory_session(owner, "test") as session:
        usage = session.get_one(CloudUsage, member_id)
        times = places.spare(settings.snapshots_per_service)
        assert usage.limits == QUOTAS | {name: QUOTAS[name] * factor for name, factor in times.items()}
        assert usage.servers == 0
        [shown] = capacity.quota_use(session, settings.snapshots_per_service)
        assert not any(count["odd"] for count in shown["counts"].values())
        resources = session.scalars(sa.select(CapacitySample.resource).order_by(CapacitySample.resource)).all()
        assert resources == ["DISK_GB", "FLOATING_IP", "MEMORY_MB", "VCPU", "VOLUME_GB"]
        assert [(host.name, host.state) for host in capacity.hypervisors(session)] == [("compute1", "up")]
    assert cloud_projects.read_quotas(runtime.cloud, ids.project_id)["instances"] == QUOTAS["servers"]
