"""Exports and the vault's clients, without a guest: what flows do when they are cut, or when services go meanwhile."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
import sqlalchemy as sa

from orchestrator import (
    backups,
    exports,
    runs,
    ssh,
    steps_backups,
    steps_exports,
    steps_guest,
    steps_proving,
    trial,
    vaults,
)
from orchestrator.ansible import Outcome
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, CloudError, CloudUnavailable
from orchestrator.packing import GIB
from orchestrator.settings import Settings
from orchestrator.steps import Run, Runtime, Write
from orchestrator.tables import Member, Service
from orchestrator.tables_backups import Backup, BackupClient
from orchestrator.tables_exports import Export
from tests.tenants.leaving import opened, sent

NO_CLOUD = cast(Cloud, None)


class House:
    """A member's services, and runs of flows on them."""

    def __init__(self, settings: Settings, worker: sa.Engine) -> None:
        self.runtime = Runtime(settings, worker, NO_CLOUD)
        with self.session() as session:
            member = Member(slug="essai", name="Essai", kind="epci", siren="732829320", siret="73282932000074")
            session.add(member)
            session.flush()
            self.member_id = member.id

    def session(self) -> Any:
        return territory_session(self.runtime.engine, "tests")

    def service(self, name: str) -> Service:
        with self.session() as session:
            wanted = {"play": "stacks/x", "disk_gib": 1}
            made = Service(
                member_id=self.member_id, name=name, specification=wanted, state="active", address="10.0.0.9"
            )
            session.add(made)
            session.flush()
            session.refresh(made)
            return made

    def run(self, service: Service, **parameters: Any) -> Run:
        facts = {"service_id": service.id, "member_id": self.member_id, "name": service.name, "ref": str(service.ref),
                 "specification": service.specification, "parameters": parameters}  # fmt: skip
        return Run(self.runtime, 1, 1, facts)

    def do(self, write: Write) -> None:
        with self.session() as session:
            write(session)


@pytest.fixture
def house(settings: Settings, owner: sa.Engine) -> House:
    return House(settings, owner)


@contextmanager
def stream(*_: Any, **__: Any) -> Iterator[io.BytesIO]:
    """What the guest sends."""
    yield sent()


def declared(house: House, papers: dict[str, str]) -> Run:
    """The run of a flow that makes an export."""
    service = house.service("site")
    with house.session() as session:
        export = exports.declare(session, service, "site", papers, datetime.now(UTC))
    return house.run(service, export_id=export.id)


def test_an_archive_that_was_told_of_stays_as_it_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies between that and the engine's note of it leaves the step to be run again, even undone."""
    monkeypatch.setattr(ssh, "stream", stream)
    run = declared(house, {"LISEZMOI.txt": "Bonjour.\n"})
    for step in (steps_exports.fetch, steps_exports.fetch, steps_exports.discard):
        house.do(step(run))
    with house.session() as session:
        export = session.get_one(Export, run.parameters["export_id"])
    path = exports.path(house.runtime.settings, export)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == export.sha256
    assert "LISEZMOI.txt" in opened(path)


def test_a_disk_that_is_full_is_not_taken_for_a_limit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "stream", stream)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=GIB))
    run = declared(house, {})
    with pytest.raises(ClocherError) as caught:
        steps_exports.fetch(run)
    assert caught.value.code == "export_failed"


def test_what_was_not_finished_is_discarded(house: House) -> None:
    run = declared(house, {})
    with house.session() as session:
        path = exports.path(house.runtime.settings, session.get_one(Export, run.parameters["export_id"]))
    path.with_suffix(".part").touch()
    house.do(steps_exports.discard(run))
    assert list(path.parent.iterdir()) == []


def test_a_cloud_that_is_away_for_a_moment_says_nothing_of_a_backup(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, errors = (
        house.run(house.service("site")),
        [CloudUnavailable("cloud_unavailable", "Non."), CloudError("x", "Non.")],
    )

    def opened(*_: Any) -> NoReturn:
        raise errors.pop(0)

    monkeypatch.setattr(steps_backups, "restored_from", lambda _: ({}, Backup()))
    monkeypatch.setattr(trial, "opened", opened)
    with pytest.raises(CloudUnavailable):
        steps_proving.try_out(run)
    with pytest.raises(ClocherError) as caught:
        steps_proving.try_out(run)
    assert caught.value.code == "proof_failed"


def test_what_a_guest_prints_can_be_written_down() -> None:
    told = runs.explain(ClocherError("command_failed", "Non.", detail="tar: \0\0 not found"))
    assert told["error_detail"] == "tar: �� not found"


def test_a_service_that_goes_while_the_vault_is_tended_is_forgotten(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, first, second = (house.service(name) for name in ("coffre", "un", "deux"))
    with house.session() as session:
        for service in (first, second):
            vaults.enrol(session, house.runtime.settings, service)
    let_in: set[str] = set()
    forgotten: list[str] = []

    def perform(_: Run, __: str, act: str, **given: Any) -> Outcome:
        """As the vault does, which forgets nobody whom it lets in."""
        if act == "clients":
            let_in.clear()
            let_in.update(client["ref"] for client in given["vault_clients"])
        elif let_in & set(given["vault_forgotten"]):
            raise ClocherError("play_failed", "Non.")
        else:
            forgotten.extend(given["vault_forgotten"])
        return Outcome(1, 1, 0.0, {"result": {"host_key": "ssh-ed25519 AAAA"}})

    monkeypatch.setattr(steps_guest, "perform", perform)
    run = house.run(vault)
    house.do(steps_backups.let_clients_in(run))
    assert let_in == {str(first.ref), str(second.ref)}
    with house.session() as session:
        backups.forget(session, first.id)
    house.do(steps_backups.forget_clients(run))
    assert (forgotten, let_in) == ([str(first.ref)], {str(second.ref)})
    with house.session() as session:
        assert session.scalars(sa.select(BackupClient.service_id)).all() == [second.id]
