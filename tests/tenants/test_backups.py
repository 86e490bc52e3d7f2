"""Backups of applications: asked for, made by themselves when they are due, told when they are late."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestrator import backups as kept
from orchestrator import vaults
from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.settings import Settings
from orchestrator.tables import AuditEntry, Flow, Service
from orchestrator.tables_backups import Backup, BackupClient
from tenants import backups, backups_working, catalogue, notices, operations, orders
from tenants.tables_notices import Mail
from tests.tenants.approving import person
from tests.tenants.ordering import NOW, member
from tests.tenants.vaulted import HOUR, PARIS, Valley, refused, valley

pytestmark = pytest.mark.slow

NIGHT = datetime.fromisoformat("2026-11-24T00:00:00+00:00")  # it is 1 o'clock in Paris: the next due instant after NOW


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    return valley(owner, settings)


def test_one_is_asked_for_and_kept(place: Valley, web: sa.Engine) -> None:
    place.let_in()
    with member_session(web, place.commune, "agent") as session:
        made, flow = backups.back_up(session, place.service_id, NOW)
        assert (made.state, made.archive, made.requested_by) == ("making", "2026-11-23T12-00-00", "agent")
        assert (flow.kind, flow.parameters) == ("backup_service", {"backup_id": made.id})
    with refused("flow_running"), member_session(web, place.commune, "agent") as session:
        backups.back_up(session, place.service_id, NOW)
    done = place.ended(NOW)
    assert (done.state, done.bytes, done.files) == ("ready", 2_500_000, 3)
    with territory_session(place.owner, "tests") as session:
        entries = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.action.startswith("backup."))).all()
    assert entries == ["backup.make", "backup.state"]


def test_without_a_vault_none_is_made(place: Valley, web: sa.Engine) -> None:
    with refused("no_vault"), member_session(web, place.commune, "agent") as session:
        backups.back_up(session, place.service_id, NOW)
    place.let_in()
    place.specify(place.vault_id, state="stopped")
    assert place.make_due(NIGHT) == []
    with refused("no_vault"), territory_session(place.owner, "flow") as session:
        vaults.opened(session, place.settings, session.get_one(Service, place.service_id))


def test_the_vault_itself_is_not_backed_up(place: Valley, web: sa.Engine) -> None:
    with refused("not_backed_up"), territory_session(place.owner, "tests") as session:
        backups.back_up(session, place.vault_id, NOW)


def test_the_files_of_a_machine_are_kept_where_there_is_a_vault(place: Valley, web: sa.Engine) -> None:
    place.specify(place.vault_id, public_address=None)  # nobody reaches it
    machine = place.machine()
    assert enrolled(place) == {place.service_id}
    place.specify(place.vault_id, public_address="203.0.113.9")
    place.let_in()
    assert enrolled(place) == {place.service_id, machine}
    assert sorted(place.make_due(NOW)) == sorted([place.service_id, machine])
    with member_session(web, place.commune, "agent") as session:
        found = backups.kept(session, session.get_one(Service, machine), NOW, HOUR, PARIS)
        assert found and found.machine and found.keep == {"daily": 7, "weekly": 4, "monthly": 6}


def test_a_machine_is_backed_up_on_demand_only_when_its_people_say_so(place: Valley, web: sa.Engine) -> None:
    machine = place.machine()
    place.let_in()
    with refused("not_a_machine"), member_session(web, place.commune, "agent") as session:
        backups.switch(session, place.service_id, False)
    with member_session(web, place.commune, "agent") as session:
        for _ in range(2):
            backups.switch(session, machine, False)
    assert place.make_due(NOW) == [place.service_id]
    assert place.watch(NOW + timedelta(days=9)) == []  # the application's is being made
    with member_session(web, place.commune, "agent") as session:
        found = backups.kept(session, session.get_one(Service, machine), NOW, HOUR, PARIS)
        assert found and (found.due, found.late, found.refused) == (None, False, None)
        asked, _ = backups.back_up(session, machine, NOW)
    place.ended(NOW)
    later = NOW + timedelta(days=1)
    assert machine not in place.make_due(later)
    with member_session(web, place.commune, "agent") as session:
        backups.switch(session, machine, True)
        assert [row.id for row in backups.listed(session, machine)] == [asked.id]
    assert machine in place.make_due(later)
    with territory_session(place.owner, "tests") as session:
        told = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.subject == f"service {machine}")).all()
    assert [action for action in told if action in ("backup.start", "backup.stop")] == ["backup.stop", "backup.start"]


def test_protection_keeps_no_files_from_coming_back_beside(place: Valley, web: sa.Engine) -> None:
    machine = place.machine()
    place.let_in()
    with member_session(web, place.commune, "agent") as session:
        made, _ = backups.back_up(session, machine, NOW)
    place.ended(NOW)
    with member_session(web, place.commune, "agent") as session:
        operations.protect(session, machine, True)
        assert backups.restore(session, machine, made.id).kind == "restore_files"


def enrolled(place: Valley) -> set[int]:
    with territory_session(place.owner, "worker tests") as session:
        backups_working.enrol(session, place.settings)
        return set(session.scalars(sa.select(BackupClient.service_id)))


def test_it_is_restored_by_its_member_only(place: Valley, web: sa.Engine) -> None:
    place.let_in()
    with member_session(web, place.commune, "agent") as session:
        made, _ = backups.back_up(session, place.service_id, NOW)
    with refused("flow_running"), member_session(web, place.commune, "agent") as session:
        backups.restore(session, place.service_id, made.id)
    place.ended(NOW)
    stranger = member(place.owner, "orgelune")
    with pytest.raises(NotFound), member_session(web, stranger, "agent") as session:
        backups.restore(session, place.service_id, made.id)
    with member_session(web, place.commune, "agent") as session:
        operations.protect(session, place.service_id, True)
    with refused("service_protected"), member_session(web, place.commune, "agent") as session:
        backups.restore(session, place.service_id, made.id)
    with member_session(web, place.commune, "agent") as session:
        operations.protect(session, place.service_id, False)
        flow = backups.restore(session, place.service_id, made.id)
        assert (flow.kind, flow.parameters) == ("restore_service", {"backup_id": made.id})


def test_the_night_makes_one(place: Valley) -> None:
    assert place.make_due(NOW) == []  # the vault does not let it in yet
    place.let_in()
    assert place.make_due(NOW) == [place.service_id]  # it never had one
    assert place.make_due(NOW) == []
    assert place.ended(NOW).scheduled
    assert place.make_due(NIGHT - timedelta(minutes=1)) == []
    assert place.make_due(NIGHT) == [place.service_id]
    place.ended(NIGHT, good=False)
    assert place.make_due(NIGHT + backups_working.AGAIN - timedelta(seconds=1)) == []
    assert place.make_due(NIGHT + backups_working.AGAIN) == [place.service_id]


def test_what_is_late_is_told_once(place: Valley) -> None:
    place.let_in()
    place.make_due(NOW)
    place.ended(NOW)
    late = NOW + backups.ALLOWED["daily"]
    assert (place.watch(late), place.watch(late + timedelta(seconds=1))) == ([], [place.service_id])
    assert place.watch(late + timedelta(hours=1)) == []
    with territory_session(place.owner, "tests") as session:
        service = session.get_one(Service, place.service_id)
        seen = backups.kept(session, service, late, HOUR, PARIS)
        assert seen and seen.late and seen.last and seen.last.made_at == NOW
    place.make_due(late)
    place.ended(late)
    with territory_session(place.owner, "tests") as session:
        seen = backups.kept(session, service, late, HOUR, PARIS)
        assert seen and not seen.late


def test_what_is_not_backed_up_any_more_is_not_late(place: Valley) -> None:
    """As after an upgrade to a version that keeps nothing."""
    place.let_in()
    with territory_session(place.owner, "tests") as session:
        service = session.get_one(Service, place.service_id)
        service.specification = service.specification | {"stack": {"version": "2"}}
    assert place.watch(NOW + timedelta(days=9)) == []
    assert place.make_due(NOW + timedelta(days=9)) == []


def test_what_failed_hides_no_good_one(place: Valley) -> None:
    place.let_in()
    place.make_due(NOW)
    good = place.ended(NOW)
    with territory_session(place.owner, "tests") as session:
        for hours in range(1, backups.MOST + 9):
            tried = NOW + timedelta(hours=hours)
            kept.declare(session, session.get_one(Service, place.service_id), place.vault_id, tried, scheduled=True)
        session.execute(sa.update(Backup).where(Backup.id != good.id).values(state="failed", ended_at=NOW))
        rows = backups.listed(session, place.service_id)
        assert len(rows) == backups.MOST and rows[-1].id == good.id
        assert [row.id for row in rows] == sorted((row.id for row in rows), reverse=True)
        seen = backups.kept(session, session.get_one(Service, place.service_id), NOW, HOUR, PARIS)
        assert seen and seen.last and seen.last.id == good.id


def test_the_next_one_is_still_to_come(place: Valley) -> None:
    """On the day of 25 hours too."""
    place.let_in()
    with territory_session(place.owner, "tests") as session:
        service = session.get_one(Service, place.service_id)
        for minutes in range(0, 26 * 60, 30):
            at = datetime.fromisoformat("2026-10-24T22:30:00+00:00") + timedelta(minutes=minutes)
            seen = backups.kept(session, service, at, HOUR, PARIS)
            assert seen and seen.due and at < seen.due <= at + timedelta(hours=25)


def test_member_and_dsi_are_told(place: Valley, owner: sa.Engine) -> None:
    person(owner, "camille", place.commune, "requester")
    person(owner, "noor", None, "dsi_operator")
    person(owner, "finances", place.commune, "finance")
    place.let_in()
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(BackupClient).values(made_at=NOW))
    assert place.watch(NOW + timedelta(hours=31)) == [place.service_id]
    notices.tell(owner, "tests", "https://cloud.example", NOW)
    with territory_session(owner, "tests") as session:
        told = session.execute(sa.select(Mail.receiver, Mail.facts["last"]).where(Mail.template == "backup_late")).all()
    assert sorted(map(tuple, told)) == [(f"{name}@vallombre.example", None) for name in ("camille", "noor")]


def test_the_vault_is_tended_when_its_clients_change(place: Valley) -> None:
    first = place.tend(NOW)
    assert first and place.tend(NOW) is None
    _end(place, first, NOW)
    assert place.tend(NOW) is None
    with territory_session(place.owner, "worker tests") as session:
        assert backups_working.enrol(session, place.settings) == 1
        assert backups_working.enrol(session, place.settings) == 0
    second = place.tend(NOW)
    assert second
    _end(place, second, NOW, state="failed")
    assert place.tend(NOW + timedelta(minutes=59)) is None
    assert place.tend(NOW + timedelta(minutes=61))


def test_the_vault_is_told_of_a_service_that_grew(place: Valley, web: sa.Engine) -> None:
    machine = place.machine()
    place.let_in()
    first = place.tend(NOW)
    assert first
    _end(place, first, NOW)
    assert place.tend(NOW) is None
    with member_session(web, place.commune, "agent") as session:
        known = session.get_one(Service, machine).specification
        assert session.get_one(BackupClient, machine).quota_gib == 3 * (known["disk_gib"] + 20) + 5
    place.specify(machine, specification={**known, "volumes": {"archives": {"disk_gib": 50}}})
    assert place.tend(NOW)


def _end(place: Valley, flow_id: int, at: datetime, state: str = "done") -> None:
    with territory_session(place.owner, "tests") as session:
        flow = session.get_one(Flow, flow_id)
        flow.state, flow.ended_at = state, at


def test_what_opens_a_repository_is_sealed(place: Valley, web: sa.Engine, staff: sa.Engine) -> None:
    place.let_in()
    with territory_session(place.owner, "flow") as session:
        found = vaults.opened(session, place.settings, session.get_one(Service, place.service_id)).variables
        stored = " ".join(str(row) for row in session.execute(sa.text("SELECT * FROM backup_clients")))
    assert found["private_key"].get_secret_value().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert found["address"] == "203.0.113.9"
    for secret in (found["passphrase"].get_secret_value(), found["private_key"].get_secret_value().splitlines()[1]):
        assert secret not in stored


def test_a_service_that_goes_takes_what_opens_its_backups_along(place: Valley) -> None:
    _lose(place, place.service_id)
    with territory_session(place.owner, "tests") as session:
        keys = sa.select(BackupClient.private_key, BackupClient.passphrase, BackupClient.vault_id)
        assert session.execute(keys).all() == [("", "", place.vault_id)]  # the vault still has to delete it
    assert place.tend(NOW)


def _lose(place: Valley, service_id: int) -> None:
    """One good backup is made, then it goes with what is deleted."""
    place.let_in()
    place.make_due(NOW)
    done = place.ended(NOW)
    with territory_session(place.owner, "flow 9") as session:
        kept.forget(session, service_id)
    with territory_session(place.owner, "tests") as session:
        assert session.get_one(Backup, done.id).state == "deleted"


def test_a_vault_that_goes_takes_its_backups_along(place: Valley) -> None:
    _lose(place, place.vault_id)
    with refused("no_vault"), territory_session(place.owner, "tests") as session:
        backups.back_up(session, place.service_id, NOW)


def test_only_the_dsi_orders_a_vault_and_for_the_agglomeration(place: Valley, web: sa.Engine) -> None:
    with member_session(web, place.commune, "agent") as session:
        assert not [offer.slug for offer in catalogue.published(session) if offer.slug.startswith("vault")]
        with pytest.raises(InvalidInput) as unknown:
            orders.place(session, place.commune, "vault-small", {"name": "coffre"}, "v", NOW)
        assert unknown.value.code == "unknown_offer"
    with refused("for_territory"), territory_session(place.owner, "tests") as session:
        orders.place(session, place.commune, "vault-small", {"name": "coffre"}, "v", NOW)


def test_states_lead_where_they_may(place: Valley) -> None:
    place.let_in()
    place.make_due(NOW)
    done = place.ended(NOW, good=False)
    with pytest.raises(Conflict), territory_session(place.owner, "tests") as session:
        kept.change_state(session, done.id, "ready", NOW)
