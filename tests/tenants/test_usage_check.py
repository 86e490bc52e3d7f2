"""Our hours beside Nova's: each difference has its reasons, and they add up to it."""

from datetime import datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from orchestrator.cloud_servers import ServerUsage
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, NotFound
from orchestrator.tables import AuditEntry, Place, Service
from tenants import periods, usage_check
from tests.tenants.ledger import LATER, PARIS, Ledger, at

MARCH = "2026-03"
HOUR = Decimal(3600)


def nova(server: str, since: str, until: str | None = None, hours: str | None = None) -> ServerUsage:
    """As Nova tells a server in March 2026, Paris time; its hours follow from its instants unless they are given."""
    begun, ended = at(since), at(until) if until else None
    bounds = periods.bounds(MARCH, PARIS)
    lasted = min(ended or bounds.upper, bounds.upper) - max(begun, bounds.lower)
    told = Decimal(hours) if hours else Decimal(str(lasted.total_seconds() / 3600))
    return ServerUsage(server, server, "project", told, 1, 1024, begun, ended)


def launched(day: str) -> list[tuple[str, str, int, int]]:
    return [("launched", f"{day} 00:00", 1, 1024), ("serving", f"{day} 00:01", 1, 1024)]


def fill(session: sa.orm.Session) -> None:
    ledger = Ledger(session)
    ledger.member("a", 1, 10)
    ledger.prices(("2026-01-01", {"vcpu": "0.01", "ram": "0.01", "vcpu_stopped": "0.01", "ram_stopped": "0.01"}))
    session.add(Place(member_id=ledger.members["a"].id, project_id="project", network_id="n", subnet_id="s",
                      router_id="r", security_group_id="g"))  # fmt: skip
    events = {
        "same": [],
        "stopped": [("stopped", "2026-03-11 00:00", 1, 1024), ("started", "2026-03-12 00:00", 1, 1024)],
        "resized": [("resized", "2026-03-20 00:00", 2, 2048), ("launched", "2026-03-20 00:00", 2, 2048)],
        "deleted": [("deleted", "2026-03-20 00:00", 1, 1024)],
        "purged": [("deleted", "2026-03-20 00:00", 1, 1024)],
        "early": [], "late": [], "odd": [],
    }  # fmt: skip
    for name, told in events.items():
        ledger.server(ledger.service("a", name), *launched("2026-03-10"), *told, cloud_id=name)
    ledger.server(ledger.service("a", "gone"), *launched("2026-02-01"), ("deleted", "2026-02-02 00:00", 1, 1024),
                  cloud_id="gone")  # fmt: skip
    ledger.server(ledger.service("a", "silent"), cloud_id="silent")
    failed = ledger.service("a", "failed")
    ledger.server(failed, ("launched", "2026-03-10 00:00", 1, 1024), ("deleted", "2026-03-10 01:00", 1, 1024),
                  cloud_id="failed")  # fmt: skip
    session.execute(sa.update(Service).where(Service.id == failed.id).values(state="failed"))
    periods._open(session, MARCH, PARIS, False)


TOLD = [
    nova("same", "2026-03-10 00:00"),
    nova("stopped", "2026-03-10 00:00"),
    nova("resized", "2026-03-20 00:00:01"),
    nova("deleted", "2026-03-10 00:00", "2026-03-19 00:00"),
    nova("early", "2026-03-09 23:00"),
    nova("late", "2026-03-10 02:00"),
    nova("odd", "2026-03-10 00:00", hours="500"),
    nova("gone", "2026-02-01 00:00", "2026-03-02 00:00"),
    nova("silent", "2026-03-10 00:00", "2026-03-11 00:00"),
    nova("by-hand", "2026-03-10 00:00", "2026-03-10 12:00"),
    nova("failed", "2026-03-10 00:00", "2026-03-10 01:00"),
    ServerUsage("error", "error", "project", Decimal(0), 1, 1024, None, None),
]
STARTING = ("starting", Decimal(-60))
WHOLE = (periods.bounds(MARCH, PARIS).upper - at("2026-03-10 00:00")).total_seconds()
EXPECTED = {
    "same": (False, [STARTING]),
    "stopped": (False, [("stopped", -24 * HOUR), STARTING]),
    "resized": (False, [("relaunched", 240 * HOUR + 1), STARTING]),
    "deleted": (True, [("deleted_before", 24 * HOUR), STARTING]),
    "purged": (True, [("missing", 240 * HOUR), STARTING]),
    "early": (True, [("built_before", -HOUR), STARTING]),
    "late": (True, [("built_after", 2 * HOUR), STARTING]),
    "odd": (True, [("unexplained", Decimal(WHOLE) - 500 * HOUR), STARTING]),
    "gone": (True, [("deleted_after", -25 * HOUR)]),
    "silent": (True, [("unlaunched", -24 * HOUR)]),
    "by-hand": (True, [("unknown", -12 * HOUR)]),
    "failed": (False, [("failed", -HOUR)]),
}


def verified(staff: sa.Engine, told: list[ServerUsage] = TOLD) -> dict[str, dict[str, object]]:
    with territory_session(staff, "test") as session:
        asked = usage_check.ask(session, MARCH, LATER)
    found = usage_check.read(asked, lambda project, _since, _until: told if project == "project" else [])
    with territory_session(staff, "test") as session:
        check = usage_check.write(session, asked, found, LATER)
        assert [row["odd"] for row in usage_check.servers(session, check, odd=True)].count(False) == 0
        return {row["server"]: row for row in usage_check.servers(session, check)}


def test_each_difference_has_its_reasons(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        fill(session)
    rows = verified(staff)
    assert {server: (row["odd"], row["reasons"]) for server, row in rows.items()} == EXPECTED
    for row in rows.values():
        assert sum(seconds for _, seconds in row["reasons"]) == row["difference"] == row["running"] - row["cloud"]
    assert rows["stopped"]["existing"] == rows["stopped"]["cloud"]
    # Again: in the place of the first; both are in the trail.
    assert verified(staff, TOLD[:1]).keys() == EXPECTED.keys() - {"gone", "silent", "by-hand"}
    with territory_session(staff, "test") as session:
        details = session.scalars(sa.select(AuditEntry.detail).where(AuditEntry.action == "usage.verify")).all()
        assert details[0] == {"servers": 12, "odd": 8}
        assert usage_check.last(session, MARCH).read_by == "test"


def test_what_can_not_be_verified_says_why(staff: sa.Engine) -> None:
    early = datetime.fromisoformat("2026-02-01T00:00:00+00:00")
    with territory_session(staff, "test") as session:
        with pytest.raises(NotFound, match="n’existe pas"):
            usage_check.ask(session, MARCH, LATER)
        periods._open(session, MARCH, PARIS, False)
        periods._open(session, "2026-02", PARIS, True)
        for label, now, code in ((MARCH, early, "not_started"), ("2026-02", LATER, "period_is_sample")):
            with pytest.raises(Conflict) as refused:
                usage_check.ask(session, label, now)
            assert refused.value.code == code
        with pytest.raises(NotFound) as never:
            usage_check.last(session, MARCH)
        assert never.value.code == "usage_not_verified"
