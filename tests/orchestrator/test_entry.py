"""What the entry is told, by whom and when; and how answers seen from outside are counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
import sqlalchemy as sa

from orchestrator import (
    ansible,
    availability,
    entry,
    entry_certificates,
    flows_stories,
    runs,
    steps_entry,
    steps_guest,
    steps_proving,
    steps_stack,
)
from orchestrator.ansible import Outcome
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, Conflict
from orchestrator.places import Ids
from orchestrator.readiness import Seen
from orchestrator.settings import Settings
from orchestrator.ssh import Guest
from orchestrator.steps import Run, Runtime, Write
from orchestrator.tables import AuditEntry, Flow, FlowStep, Member, Service
from orchestrator.tables_entry import Availability, Entry
from orchestrator.trial import Machine, Trial

DOMAIN = "valmont.test"
NO_CLOUD = cast(Cloud, None)
AT = datetime(2026, 11, 30, 22, 58, tzinfo=UTC)  # two minutes before midnight in Paris


class Town:
    """An entry, and applications of a commune that it leads to; what it was told is in `told`."""

    def __init__(self, settings: Settings, owner: sa.Engine, worker: sa.Engine) -> None:
        self.owner, self.told, self.certificates = owner, list[list[str]](), list[dict[str, Any]]()
        self.runtime = Runtime(settings.model_copy(update={"entry_domain": DOMAIN}), worker, NO_CLOUD)
        self.commune = self.member("essai", "73282932000074", "commune")
        agglomeration = self.member("agglo", "20000017200017", "epci")
        self.entry_id = self.service(agglomeration, "portail", provides="entry")
        with territory_session(worker, "tests") as session:
            entry.keep(session, self.entry_id, DOMAIN, None, [])

    def member(self, slug: str, siret: str, kind: str) -> int:
        with territory_session(self.owner, "tests") as session:
            made = Member(slug=slug, name=slug, kind=kind, siren=siret[:9], siret=siret)
            session.add(made)
            session.flush()
            return made.id

    def service(self, member_id: int, name: str, state: str = "active", **stack: Any) -> int:
        with territory_session(self.owner, "tests") as session:
            wanted = {"play": "stacks/x", "answers": {}, "stack": {"web": None, **stack}}
            made = Service(member_id=member_id, name=name, specification=wanted, state=state, address="10.0.0.9",
                           public_address="192.0.2.9", changed_at=AT - timedelta(days=30))  # fmt: skip
            session.add(made)
            session.flush()
            return made.id

    def application(self, name: str, state: str = "active") -> int:
        return self.service(self.commune, name, state, web={"port": 80, "path": "/"})

    def change(self, service_id: int, **values: Any) -> None:
        with territory_session(self.owner, "tests") as session:
            session.execute(sa.update(Service).where(Service.id == service_id).values(**values))

    def answer(self, *_: Any, **__: Any) -> Outcome:
        return Outcome(1, 1, 0.0, {"result": {"certificates": self.certificates}})

    def certified(self, host: str, days: int | None, refused: str | None = None) -> None:
        """What the entry says from now on of one host: a certificate of 90 days has so many left, or none is there."""
        now = datetime.now(UTC)
        until = None if days is None else now + timedelta(days=days)
        why = {"at": int(now.timestamp()), "code": "refused", "why": refused} if refused else None
        since = until and (until - timedelta(days=90)).isoformat()
        row = {"host": host, "issuer": "Essai", "since": since, "until": until and until.isoformat(), "refused": why}
        self.certificates = [one for one in self.certificates if one["host"] != host] + [row]

    def news(self) -> list[list[tuple[str, str]]]:
        with territory_session(self.owner, "tests") as session:
            rows = session.scalars(sa.select(AuditEntry.detail).where(AuditEntry.action == "certificate.late"))
            return [[(one["host"], one["trouble"]) for one in row["hosts"]] for row in rows]

    def configure(self, _s: Any, _p: str, _g: Any, given: dict[str, Any], *_: Any, act: str, **__: Any) -> Outcome:
        assert act == "routes"
        self.told.append([f"{one['host']}{' off' if one['stopped'] else ''}" for one in given["entry"]["routes"]])
        return self.answer()


@pytest.fixture
def town(settings: Settings, owner: sa.Engine, worker: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Town:
    made = Town(settings, owner, worker)
    monkeypatch.setattr(ansible, "configure", made.configure)
    return made


def test_it_leads_to_what_is_there(town: Town) -> None:
    town.application("site")
    town.application("wiki", "stopped")
    new = town.application("neuf", "creating")
    for state in entry.GONE:
        town.application(f"ancien-{state}", state)
    town.service(town.commune, "serveur")
    entry.settle(town.runtime)
    assert town.told == [["neuf.essai.valmont.test off", "site.essai.valmont.test", "wiki.essai.valmont.test off"]]
    entry.settle(town.runtime)  # it knows
    assert len(town.told) == 1
    with territory_session(town.owner, "tests") as session:
        flow = Flow(member_id=town.commune, service_id=new, kind="create_server", state="running", requested_by="t")
        session.add(flow)
        session.flush()
        session.add(FlowStep(flow_id=flow.id, member_id=town.commune, name="answer", state="done"))
    entry.settle(town.runtime)  # it was seen to be well
    assert town.told[1][0] == "neuf.essai.valmont.test"


def test_without_an_entry_nobody_is_told(town: Town) -> None:
    town.application("site")
    town.change(town.entry_id, state="stopped")
    entry.settle(town.runtime)
    assert town.told == []


def test_what_could_not_be_told_is_told_later(town: Town) -> None:
    town.application("site")

    def fail(*_: Any, **__: Any) -> Outcome:
        raise ClocherError("play_failed", "Non.")

    town.answer = fail  # type: ignore[method-assign]
    with pytest.raises(ClocherError):
        entry.settle(town.runtime)
    town.answer = lambda *_, **__: Outcome(1, 1, 0.0)  # type: ignore[method-assign]
    entry.settle(town.runtime)
    assert len(town.told) == 2 and town.told[0] == town.told[1]


@pytest.mark.slow
def test_one_at_a_time_tells_it_and_the_last_word_is_the_newest(town: Town) -> None:
    """The second waits until the first is done, then tells what the first did not know."""
    town.application("un")
    inside, go_on = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> Outcome:
        inside.set()
        assert go_on.wait(30)
        return Outcome(1, 1, 0.0)

    town.answer = slow  # type: ignore[method-assign]
    first = threading.Thread(target=entry.settle, args=(town.runtime,))
    first.start()
    assert inside.wait(30)
    town.application("deux")
    waited = threading.Event()
    second = threading.Thread(target=entry.settle, args=(town.runtime, waited.set))
    second.start()
    assert waited.wait(30)  # it asked, and was refused
    assert len(town.told) == 1
    go_on.set()
    first.join(30)
    second.join(30)
    assert town.told == [["un.essai.valmont.test"], ["deux.essai.valmont.test", "un.essai.valmont.test"]]


def test_what_it_says_of_its_certificates_is_asked_every_hour_and_trouble_is_news_once(town: Town) -> None:
    town.application("site")
    town.certified("a.test", 60)
    town.certified("b.test", 20, "DNS problem")
    entry.settle(town.runtime)
    entry.renew(town.runtime)
    assert (len(town.told), town.news()) == (1, [])

    def hour() -> None:
        with territory_session(town.owner, "tests") as session:
            session.execute(sa.update(Entry).values(set_at=Entry.set_at - timedelta(hours=1)))
        entry.renew(town.runtime)

    town.certified("b.test", 13, "DNS problem")
    town.certified("c.test", None, "no A record")
    hour()
    hour()
    assert town.news() == [[("b.test", "late"), ("c.test", "missing")]]
    town.certified("b.test", -1, "DNS problem")
    town.certified("c.test", 90)
    hour()
    assert town.news()[1:] == [[("b.test", "expired")]]
    assert len(town.told) == 4
    with territory_session(town.owner, "tests") as session:
        made = session.get_one(Entry, town.entry_id)
        found = entry_certificates.read(made.certificates, datetime.now(UTC))
    assert [(one.host, one.trouble, one.why) for one in found] == [
        ("a.test", "", None), ("b.test", "expired", "DNS problem"), ("c.test", "", None),
    ]  # fmt: skip


@pytest.mark.parametrize(("lasts", "left", "trouble"), [(90, 15, ""), (90, 13, "late"), (6, 2, ""), (6, 1, "late")])
def test_one_of_a_few_days_is_not_late_all_its_life(lasts: int, left: int, trouble: str) -> None:
    since, until = (AT + timedelta(days=days) for days in (left - lasts, left))
    told = {"host": "a.test", "issuer": None, "since": since.isoformat(), "until": until.isoformat(), "refused": None}
    assert [one.trouble for one in entry_certificates.read([told], AT)] == [trouble]


def test_the_authority_of_the_territorys_own_acme_is_read_from_a_file(tmp_path: Path) -> None:
    assert entry_certificates.trusted(None) is None
    (tmp_path / "ca.pem").write_text("PEM")
    assert entry_certificates.trusted(tmp_path / "ca.pem") == "PEM"
    with pytest.raises(ClocherError) as refused:
        entry_certificates.trusted(tmp_path / "none.pem")
    assert refused.value.code == "no_entry_authority"


def test_whoever_waits_can_be_stopped(town: Town) -> None:
    town.application("site")

    def stop() -> None:
        raise ClocherError("flow_cancelled", "Assez.")

    with entry.alone(town.runtime.engine) as ours, pytest.raises(ClocherError):
        assert ours
        entry.settle(town.runtime, stop)
    assert town.told == []


Count = Callable[[Seen, datetime], None]


@pytest.fixture
def asked(town: Town) -> tuple[int, Count]:
    service_id = town.application("site")
    one = availability.Asked(service_id, town.commune, "site.essai.valmont.test", "/")

    def count(seen: Seen, at: datetime) -> None:
        with territory_session(town.runtime.engine, "tests") as session:
            availability.count(session, town.runtime.settings, one, seen, at)

    return service_id, count


def days(town: Town) -> list[tuple[int, int, int, bool]]:
    with territory_session(town.owner, "tests") as session:
        rows = session.scalars(sa.select(Availability).order_by(Availability.day))
        return [(row.day.day, row.asked, row.answered, row.good) for row in rows]


def test_answers_are_counted_by_local_day_once_in_a_stretch(town: Town, asked: tuple[int, Count]) -> None:
    _, count = asked
    good, bad = Seen(None, "", AT + timedelta(days=90)), Seen("HTTP 503")
    count(good, AT - timedelta(minutes=10))
    count(bad, AT - timedelta(minutes=9))  # another worker, in the same stretch
    count(bad, AT)
    count(good, AT + timedelta(minutes=5))  # tomorrow in Paris
    assert days(town) == [(30, 2, 1, False), (1, 1, 1, True)]


def test_what_is_off_is_neither_asked_nor_counted(town: Town, asked: tuple[int, Count]) -> None:
    service_id, count = asked
    with territory_session(town.runtime.engine, "tests") as session:
        assert [one.host for one in availability.due(session, town.runtime.settings, DOMAIN, AT)] == [
            "site.essai.valmont.test"
        ]
    town.change(service_id, state="stopped")
    count(Seen("HTTP 503"), AT)
    with territory_session(town.runtime.engine, "tests") as session:
        assert availability.due(session, town.runtime.settings, DOMAIN, AT) == []
    assert days(town) == []


def test_what_an_operation_makes_unreachable_is_not_counted(town: Town, asked: tuple[int, Count]) -> None:
    """An upgrade leaves the service's state as it is."""
    service_id, count = asked
    with territory_session(town.owner, "tests") as session:
        session.add(Flow(member_id=town.commune, service_id=service_id, kind="upgrade_service", state="running",
                         requested_by="tests"))  # fmt: skip
    count(Seen("HTTP 503"), AT)
    with territory_session(town.runtime.engine, "tests") as session:
        assert availability.due(session, town.runtime.settings, DOMAIN, AT) == []
    assert days(town) == []


def test_a_round_asks_each_through_the_entry(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.application("site")
    town.application("wiki")
    seen: list[tuple[str, ...]] = []

    def answer(address: str, host: str, authority: str | None, path: str) -> Seen:
        seen.append((address, host, path))
        return Seen(None if host.startswith("site") else "HTTP 500")

    monkeypatch.setattr(availability.readiness, "ask_url", answer)
    town.change(town.entry_id, state="rebooting")
    availability.ask(town.runtime, AT)
    assert seen == []
    town.change(town.entry_id, state="active")
    for _ in range(2):  # the second finds that all were asked
        availability.ask(town.runtime, AT)
    assert sorted(seen) == [
        ("192.0.2.9", "site.essai.valmont.test", "/"), ("192.0.2.9", "wiki.essai.valmont.test", "/"),
    ]  # fmt: skip
    assert sorted((asked, answered) for _, asked, answered, _ in days(town)) == [(1, 0), (1, 1)]


def test_an_entry_that_is_gone_is_forgotten(town: Town) -> None:
    town.change(town.entry_id, state="deleted")
    with territory_session(town.runtime.engine, "tests") as session:
        assert entry.find(session) is None
        entry.forget(session, town.entry_id)
    with territory_session(town.owner, "tests") as session:
        assert not session.scalar(sa.select(sa.func.count()).select_from(Entry))


def test_a_rename_that_runs_again_still_knows_the_former_name(town: Town) -> None:
    service_id = town.application("un")
    with territory_session(town.owner, "tests") as session:
        flow = Flow(member_id=town.commune, service_id=service_id, kind="rename_server", parameters={"name": "deux"},
                    requested_by="tests")  # fmt: skip
        session.add(flow)
        session.flush()
        flow_id = flow.id

    def run() -> Run:
        with territory_session(town.runtime.engine, "tests") as session:
            facts = runs._facts(session, session.get_one(Flow, flow_id), session.get_one(Service, service_id))
        return Run(town.runtime, flow_id, 1, facts)

    def do(write: Write) -> list[str]:
        with territory_session(town.runtime.engine, "tests") as session:
            write(session)
            return [one["host"] for one in entry.wanted(session, DOMAIN)]

    assert do(steps_entry.take_name(run())) == ["deux.essai.valmont.test"]
    assert do(steps_entry.give_name_back(run())) == ["un.essai.valmont.test"]


def own_run(town: Town) -> Run:
    """A run of a flow on the entry itself, which leads to one host."""
    with territory_session(town.owner, "tests") as session:
        entry.keep(session, town.entry_id, DOMAIN, None, [{"host": f"site.essai.{DOMAIN}"}])
        service = session.get_one(Service, town.entry_id)
        wanted = service.specification | {"admin": "admin"}
        wanted["stack"] = wanted["stack"] | {"slug": "entry", "version": "1"}
        facts = {"service_id": service.id, "member_id": service.member_id, "name": service.name,
                 "ref": str(service.ref), "specification": wanted, "parameters": {}}  # fmt: skip
    return Run(town.runtime, 1, 1, facts)


def test_its_plays_are_given_its_domain_and_a_trial_leads_nowhere(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    run, given = own_run(town), list[dict[str, Any]]()
    assert steps_stack.variables(run)["entry"] == {
        "domain": DOMAIN, "routes": [{"host": f"site.essai.{DOMAIN}"}], "authority": None,
    }  # fmt: skip
    monkeypatch.setattr(steps_guest, "perform_in", lambda *told, **_: given.append(told[4]))
    place = Trial(town.runtime.settings, NO_CLOUD, Ids("", "", "", "", ""))
    steps_proving._play(run, place, Machine(Guest("192.0.2.1", "portail", uuid4()), ()), "site")
    assert given[0]["entry"] == {"domain": DOMAIN, "routes": [], "authority": None}


def test_a_restored_entry_is_set_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that came after the backup have no certificate in it."""
    names: list[str] = []
    monkeypatch.setattr(Run, "step", lambda _, name, *__, **___: names.append(name))
    flows_stories.restore_service(own_run(town))
    assert names == ["vault", "restore", "configure", "health", "answer", "activate"]


def test_a_second_entry_is_refused(town: Town) -> None:
    facts = {"service_id": town.application("autre"), "member_id": town.commune, "specification": {"play": "x"}}
    with pytest.raises(Conflict) as refused:
        steps_entry.configure(Run(town.runtime, 1, 1, facts), {})
    assert refused.value.code == "entry_taken"
    without = Runtime(town.runtime.settings.model_copy(update={"entry_domain": ""}), town.runtime.engine, NO_CLOUD)
    with pytest.raises(ClocherError) as held:
        steps_entry.configure(Run(without, 1, 1, facts), {})
    assert held.value.code == "no_entry_domain"
