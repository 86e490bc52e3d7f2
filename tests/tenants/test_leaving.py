"""Leaving with one's data: what is asked for, what the archive holds and for how long, what is certified afterwards."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator import backups as backed_up
from orchestrator import exports, service_secrets, services
from orchestrator.database import member_session, territory_session
from orchestrator.errors import NotFound
from orchestrator.settings import Settings
from orchestrator.tables import AuditEntry, Flow, Service
from orchestrator.tables_backups import BackupClient
from orchestrator.tables_exports import Export
from tenants import backups, certificates, deletions, orders, service_exports
from tests.tenants import leaving
from tests.tenants.applications import keep_secrets
from tests.tenants.ordering import KEY, NOW, member, wish
from tests.tenants.test_upgrades import publish
from tests.tenants.vaulted import Valley, refused, valley

pytestmark = pytest.mark.slow


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    return valley(owner, settings)


def ask(place: Valley, web: sa.Engine) -> int:
    with member_session(web, place.commune, "agent") as session:
        made, flow = service_exports.ask(session, place.settings, place.service_id, NOW)
        assert (flow.kind, flow.parameters) == ("export_service", {"export_id": made.id})
        return made.id


def test_an_archive_is_asked_for_and_taken(place: Valley, web: sa.Engine, worker: sa.Engine) -> None:
    with territory_session(place.owner, "tests") as session:
        service = session.get_one(Service, place.service_id)
    keep_secrets(worker, place.settings, service)
    with territory_session(worker, "flow 1") as session:
        known = service_secrets.opened(session, place.settings, place.service_id)
    ask(place, web)
    with refused("flow_running"), member_session(web, place.commune, "agent") as session:
        service_exports.ask(session, place.settings, place.service_id, NOW)
    made = leaving.made(place.owner, place.settings, NOW)
    with member_session(web, place.commune, "agent") as session:
        found, path = service_exports.download(session, place.settings, place.service_id, made.id, NOW)
    assert found.title == "brevaux-salut-2026-11-23"
    assert path.name == f"{made.file}.tar.gz" and path.parent.stat().st_mode & 0o777 == 0o700
    files = leaving.opened(path)
    assert files.keys() == {
        "LISEZMOI.txt", "configuration.json", "registre.csv", "registre.json", "releve.csv", "releve.json",
        "donnees/index.html", "SHA256SUMS",
    }  # fmt: skip
    assert files["donnees/index.html"] == leaving.GREETING
    for line in files["SHA256SUMS"].decode().splitlines():
        told, name = line.split("  ", 1)
        assert hashlib.sha256(files[name]).hexdigest() == told
    assert not [secret for secret in known.values() if secret.get_secret_value().encode() in b"".join(files.values())]
    with territory_session(place.owner, "tests") as session:
        actions = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.action.startswith("export."))).all()
        assert session.scalars(sa.select(Export.papers)).all() == [{}]
    assert actions == ["export.ask", "export.state", "export.download"]


def test_its_papers_say_what_it_was_and_what_it_cost(place: Valley, web: sa.Engine) -> None:
    ask(place, web)
    made = leaving.made(place.owner, place.settings, NOW)
    files = leaving.opened(exports.path(place.settings, made))
    configuration = json.loads(files["configuration.json"])
    assert configuration["application"] == {"stack": "hello", "version": "1", "upstream": "nginx 1.22"}
    assert configuration["answers"] == {"greeting": "Bonjour", "contact": "", "until": ""}
    assert configuration["size"] == {"vcpus": 1, "ram_mib": 1024, "volumes_gib": {"main": 1}}
    [sheet] = json.loads(files["registre.json"])["services"]
    assert (sheet["service"], sheet["purpose"]) == ("salut", "Saluer")
    assert files["registre.csv"].startswith(b"\xef\xbb\xbf") and b"Saluer" in files["registre.csv"]
    months = json.loads(files["releve.json"])
    assert [(month["period"], month["state"], month["mention"]) for month in months] == [("2026-11", "draft", "PROJET")]
    readme = files["LISEZMOI.txt"].decode()
    assert readme.index("le 23/11/2026") < readme.index("on 2026-11-23")


def test_after_an_upgrade_its_papers_name_the_newer_application(place: Valley, web: sa.Engine, tmp_path: Path) -> None:
    publish(place, tmp_path)
    with territory_session(place.owner, "tests") as session:
        service = session.get_one(Service, place.service_id)
        service.specification = service.specification | {"stack": service.specification["stack"] | {"version": "2"}}
    ask(place, web)
    files = leaving.opened(exports.path(place.settings, leaving.made(place.owner, place.settings, NOW)))
    configuration = json.loads(files["configuration.json"])
    assert configuration["application"] == {"stack": "hello", "version": "2", "upstream": "nginx 2"}
    assert configuration["offer"]["version"] == 1


def test_it_is_for_its_member_only_and_for_some_days(place: Valley, web: sa.Engine) -> None:
    first = ask(place, web)
    with refused("export_state"), member_session(web, place.commune, "agent") as session:
        service_exports.download(session, place.settings, place.service_id, first, NOW)
    made = leaving.made(place.owner, place.settings, NOW)
    stranger = member(place.owner, "orgelune")
    with pytest.raises(NotFound), member_session(web, stranger, "agent") as session:
        service_exports.download(session, place.settings, place.service_id, first, NOW)
    path = exports.path(place.settings, made)
    with refused("export_state"), member_session(web, place.commune, "agent") as session:
        service_exports.download(session, place.settings, place.service_id, first, NOW + timedelta(days=7))
    assert leaving.expire(place.owner, place.settings, NOW + timedelta(days=6, hours=23)) == []
    assert leaving.expire(place.owner, place.settings, NOW + timedelta(days=7)) == [first]
    assert not path.exists()
    with refused("export_state"), member_session(web, place.commune, "agent") as session:
        service_exports.download(session, place.settings, place.service_id, first, NOW)


def test_a_new_one_takes_the_place_of_the_former(place: Valley, web: sa.Engine) -> None:
    first = ask(place, web)
    leaving.made(place.owner, place.settings, NOW)
    second = ask(place, web)
    leaving.made(place.owner, place.settings, NOW)
    assert leaving.expire(place.owner, place.settings, NOW) == [first]
    with territory_session(place.owner, "tests") as session:
        assert [row.id for row in service_exports.listed(session, place.service_id) if row.state == "ready"] == [second]


def test_one_that_failed_says_so(place: Valley, web: sa.Engine) -> None:
    ask(place, web)
    with territory_session(place.owner, "flow tests") as session:
        leaving.end(session, "failed", NOW)
        [row] = service_exports.listed(session, place.service_id)
        assert (row.state, row.ended_at is not None) == ("failed", True)


def test_an_archive_that_is_not_here_is_told(place: Valley, web: sa.Engine) -> None:
    ask(place, web)
    made = leaving.made(place.owner, place.settings, NOW)
    exports.path(place.settings, made).unlink()
    with refused("export_missing"), member_session(web, place.commune, "agent") as session:
        service_exports.download(session, place.settings, place.service_id, made.id, NOW)


def test_a_bare_machine_is_not_exported(place: Valley) -> None:
    with territory_session(place.owner, "tests") as session:
        order = orders.place(session, place.commune, "vm-small", wish("nue"), KEY, NOW)
    with refused("not_exportable"), territory_session(place.owner, "tests") as session:
        assert order.service_id
        service_exports.ask(session, place.settings, order.service_id, NOW)


def delete(place: Valley) -> None:
    """The service is deleted, as its flow leaves it."""
    with territory_session(place.owner, "agent") as session:
        flow = deletions.delete(session, place.service_id, NOW, timedelta())
        assert flow
        for state in ("deleting", "deleted"):
            services.change_state(session, place.service_id, state, NOW, flow_id=flow.id)
        service_secrets.forget(session, place.service_id)
        backed_up.forget(session, place.service_id)
        session.execute(sa.update(Flow).where(Flow.id == flow.id).values(state="done", ended_at=NOW))


def test_a_deletion_is_certified(place: Valley, web: sa.Engine) -> None:
    with refused("still_there"), member_session(web, place.commune, "agent") as session:
        certificates.certificate(session, place.service_id, NOW)
    place.let_in()
    with member_session(web, place.commune, "agent") as session:
        backups.back_up(session, place.service_id, NOW)
    place.ended(NOW)
    ask(place, web)
    made = leaving.made(place.owner, place.settings, NOW)
    delete(place)
    with member_session(web, place.commune, "agent") as session:
        found = certificates.certificate(session, place.service_id, NOW)
        # What was taken along can still be fetched.
        assert service_exports.download(session, place.settings, place.service_id, made.id, NOW)[1].is_file()
    assert (found["deleted_at"], found["flow"]["requested_by"], found["repository"]) == (NOW, "agent", "locked")
    assert [(one["archive"], one["erased_at"] is not None) for one in found["backups"]] == [
        ("2026-11-23T12-00-00", True)
    ]
    assert all(one["destroyed"] for one in found["secrets"]) and len(found["secrets"]) == 2
    assert [one["title"] for one in found["archives"]] == ["brevaux-salut-2026-11-23"]
    assert {"service.delete", "service.state", "backup.state"} <= {one["action"] for one in found["trail"]}
    with territory_session(place.owner, "tests") as session:
        later = certificates.certificate(session, place.service_id, NOW + timedelta(days=7))
        assert later["archives"] == [], "its time is over, whether it was removed already or not"
        session.execute(sa.delete(BackupClient).where(BackupClient.service_id == place.service_id))
        assert certificates.certificate(session, place.service_id, NOW)["repository"] == "erased"
        assert session.get_one(Service, place.service_id).state == "deleted"
