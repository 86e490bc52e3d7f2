"""Webhooks as a receiver sees them: signed, tried again, replayed under the same id, ended when nobody listens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from orchestrator import sealing
from orchestrator.database import member_session, territory_session
from orchestrator.errors import ClocherError, Conflict, InvalidInput, NotFound
from orchestrator.settings import Settings
from orchestrator.tables import AuditEntry
from tenants import webhooks, webhooks_sending
from tenants.outside import Rules
from tenants.tables_notices import Attempt, Delivery, Endpoint
from tenants.webhooks_sending import RETRIES, Sender
from tests.tenants.approving import Caller, person
from tests.tenants.ordering import member
from tests.tenants.receiving import Receiver, receiver

pytestmark = pytest.mark.slow

HOME = Rules.of(("127.0.0.0/8",), 5)
DAY = timedelta(days=1)


@pytest.fixture
def listener() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def camille(owner: sa.Engine) -> Caller:
    return person(owner, "camille", member(owner), "requester")


@pytest.fixture
def sender(worker: sa.Engine, settings: Settings) -> Sender:
    return Sender(worker, "worker w", sealing.box(settings, "tests"), HOME, lambda: datetime.now(UTC))


class Hook:
    """An endpoint of a member at the listener, and what is done with it."""

    def __init__(self, web: sa.Engine, who: Caller, sender: Sender, url: str) -> None:
        self.web, self.who, self.sender = web, who, sender
        with self.session() as session:
            endpoint, self.secret = webhooks.add(session, sender.box, HOME, who, "ours", url, [], datetime.now(UTC))
            self.id = endpoint.id

    def session(self) -> AbstractContextManager[Session]:
        return member_session(self.web, self.who.member_id, self.who.actor)

    def happen(self, entry_id: int, at: datetime | None = None) -> None:
        at = at or datetime.now(UTC)
        with self.session() as session:
            webhooks.tell(session, "order.placed", {"order": 4, "name": "é"}, at, entry_id, self.who.member_id, at)

    def log(self) -> list[dict]:
        with self.session() as session:
            return webhooks.deliveries(session, self.id)[0]

    def send_at(self, at: datetime) -> int:
        return webhooks_sending.send(replace(self.sender, clock=lambda: at))


@pytest.fixture
def hook(web: sa.Engine, camille: Caller, sender: Sender, listener: Receiver) -> Hook:
    return Hook(web, camille, sender, listener.url)


def test_the_library_verifies_what_arrives(hook: Hook, listener: Receiver) -> None:
    listener.answer = (200, {}, "merci é".encode())
    hook.happen(1)
    assert webhooks_sending.send(hook.sender) == 1
    [(headers, body)] = listener.got
    verified = Webhook(hook.secret).verify(body, headers)
    assert (verified["type"], verified["data"]) == ("order.placed", {"order": 4, "name": "é"})
    with pytest.raises(WebhookVerificationError):
        Webhook(hook.secret).verify(body.replace(b"4", b"5"), headers)
    [sent] = hook.log()
    assert (sent["state"], sent["tries"][0].status, sent["tries"][0].answer) == ("sent", 200, "merci é")
    assert webhooks_sending.send(hook.sender) == 0


def test_secrets_are_sealed(owner: sa.Engine, hook: Hook, settings: Settings) -> None:
    with territory_session(owner, "tests") as session:
        kept = session.scalars(sa.select(Endpoint.secret)).one()
        told = session.scalars(sa.select(AuditEntry.detail)).all()
    assert hook.secret.encode() not in kept
    assert hook.secret not in str(told)
    stranger = Settings(state_dir=settings.state_dir, secret_key="another", _env_file=None)
    hook.happen(1)
    webhooks_sending.send(replace(hook.sender, box=sealing.box(stranger, "tests")))
    assert hook.log()[0]["tries"][0].error == "secret_unreadable"


def test_after_a_rotation_both_secrets_verify_for_a_day(hook: Hook, listener: Receiver) -> None:
    now = datetime.now(UTC)
    with hook.session() as session:
        fresh = webhooks.rotate(session, hook.sender.box, hook.id, now - DAY + timedelta(minutes=1))
    hook.happen(1)
    webhooks_sending.send(hook.sender)
    for secret in (hook.secret, fresh):
        Webhook(secret).verify(listener.got[0][1], listener.got[0][0])
    with hook.session() as session:
        newest = webhooks.rotate(session, hook.sender.box, hook.id, now - DAY)
    hook.happen(2)
    webhooks_sending.send(hook.sender)
    Webhook(newest).verify(listener.got[1][1], listener.got[1][0])
    with pytest.raises(WebhookVerificationError):
        Webhook(fresh).verify(listener.got[1][1], listener.got[1][0])


def test_it_is_tried_again_later_and_later_then_given_up(hook: Hook, listener: Receiver) -> None:
    listener.answer = (500, {}, b"oops")
    at = datetime.now(UTC)
    hook.happen(1, at)
    for wait in RETRIES:
        assert hook.send_at(at) == 1
        assert hook.send_at(at + wait - timedelta(milliseconds=1)) == 0
        at += wait
    assert hook.send_at(at) == 1
    [given_up] = hook.log()
    assert (given_up["state"], len(given_up["tries"])) == ("failed", len(RETRIES) + 1)
    assert {headers["webhook-id"] for headers, _ in listener.got} == {f"msg_{given_up['ref'].hex}"}
    assert hook.send_at(at + 10 * DAY) == 0
    listener.answer = (204, {}, b"")
    with hook.session() as session:
        webhooks.replay(session, given_up["id"], at)
    assert hook.send_at(at) == 1
    assert hook.log()[0]["state"] == "sent"
    assert listener.got[-1][0]["webhook-id"] == listener.got[0][0]["webhook-id"]


def test_after_days_of_failure_it_is_disabled_and_can_be_brought_back(
    owner: sa.Engine, hook: Hook, listener: Receiver
) -> None:
    listener.answer = (500, {}, b"")
    at = datetime.now(UTC)
    for day in range(6):
        hook.happen(day, at + day * DAY)
        hook.send_at(at + day * DAY)
    hook.happen(9, at + 6 * DAY)  # nobody listens: not even queued
    with territory_session(owner, "tests") as session:
        assert session.scalars(sa.select(Endpoint.state)).one() == "disabled"
        assert {row.state for row in session.scalars(sa.select(Delivery))} == {"failed"}
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "webhook.disable")).one()
        assert (entry.detail["account"], entry.detail["why"]) == (hook.who.account_id, "failing")
    with hook.session() as session, pytest.raises(Conflict):
        webhooks.test(session, hook.id, at)
    listener.answer = (204, {}, b"")
    with hook.session() as session:
        webhooks.enable(session, hook.id)
        assert webhooks.replay_since(session, hook.id, at + 2 * DAY, at + 7 * DAY) == 4
    listener.got.clear()
    assert hook.send_at(at + 7 * DAY) == 4
    assert len(listener.got) == 4


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("3600", timedelta(hours=1)),
        ("Fri, 01 Jan 2100 00:00:00 GMT", DAY),  # a day at the latest
        ("999999999999", DAY),
        ("1", RETRIES[0]),  # our own pace holds where it is slower
        ("Fri, 01 Jan 1999 00:00:00 GMT", RETRIES[0]),
        ("soon", RETRIES[0]),
    ],
)
def test_a_receiver_says_when_to_come_back(hook: Hook, listener: Receiver, said: str, wait: timedelta) -> None:
    listener.answer = (429, {"Retry-After": said}, b"")
    at = datetime.now(UTC)
    hook.happen(1, at)
    hook.send_at(at)
    assert hook.log()[0]["due_at"] == at + wait


def test_the_log_ends_but_not_what_waits(owner: sa.Engine, hook: Hook, listener: Receiver) -> None:
    at = datetime.now(UTC)
    hook.happen(1, at - 40 * DAY)
    hook.send_at(at - 40 * DAY)
    hook.happen(2, at - 10 * DAY)
    hook.send_at(at - 10 * DAY)
    hook.happen(3, at - 40 * DAY)
    assert webhooks.forget(hook.sender.engine, "worker w", 30 * DAY, at) == 1
    assert [(row["state"], len(row["tries"])) for row in hook.log()] == [("queued", 0), ("sent", 1)]
    with territory_session(owner, "tests") as session:
        assert len(session.scalars(sa.select(Attempt)).all()) == 1
    assert webhooks.forget(hook.sender.engine, "worker w", 30 * DAY, at) == 0


def test_gone_is_gone(owner: sa.Engine, hook: Hook, listener: Receiver) -> None:
    listener.answer = (410, {}, b"")
    hook.happen(1)
    webhooks_sending.send(hook.sender)
    with territory_session(owner, "tests") as session:
        assert session.scalars(sa.select(Endpoint.state)).one() == "disabled"


def test_one_success_ends_a_series_of_failures(owner: sa.Engine, hook: Hook, listener: Receiver) -> None:
    at = datetime.now(UTC)
    for day, status in enumerate((500, 500, 500, 204, 500, 500)):
        listener.answer = (status, {}, b"")
        hook.happen(day, at + day * DAY)
        hook.send_at(at + day * DAY)
    with territory_session(owner, "tests") as session:
        assert session.scalars(sa.select(Endpoint.state)).one() == "active"


def test_a_worker_that_dies_while_sending_leaves_it_to_the_next(hook: Hook, listener: Receiver) -> None:
    at = datetime.now(UTC)
    hook.happen(1, at)
    early, late = (replace(hook.sender, clock=lambda when=when: when) for when in (at, at + timedelta(minutes=10)))
    claimed = webhooks_sending.claim(early)  # and then it is killed, before or after it sent
    webhooks_sending.attempt(early, claimed[0])
    assert webhooks_sending.claim(early) == []
    assert webhooks_sending.send(late) == 1
    assert listener.got[0][0]["webhook-id"] == listener.got[1][0]["webhook-id"]
    assert hook.log()[0]["state"] == "sent"


def test_workers_at_once_send_each_once_and_a_slow_endpoint_stops_no_other(
    web: sa.Engine, camille: Caller, hook: Hook, listener: Receiver
) -> None:
    with receiver() as slow:
        slow.hold.clear()
        stuck = Hook(web, camille, hook.sender, slow.url)
        for number in range(1, 9):
            hook.happen(number)
        with ThreadPoolExecutor(3) as pool:
            rounds = [pool.submit(webhooks_sending.send, hook.sender) for _ in range(3)]
            while len(listener.got) < 8 and not all(done.done() for done in rounds):
                rounds.append(pool.submit(webhooks_sending.send, hook.sender))
                if len(rounds) > 40:
                    break
            slow.hold.set()
            for done in rounds:
                done.result()
        while webhooks_sending.send(hook.sender):
            pass
        assert len({headers["webhook-id"] for headers, _ in listener.got}) == len(listener.got) == 8
        assert len({headers["webhook-id"] for headers, _ in slow.got}) == len(slow.got) == 8
        assert {row["state"] for row in stuck.log()} == {"sent"}


def test_a_private_address_is_refused_when_it_is_chosen_and_when_it_is_reached(
    web: sa.Engine, camille: Caller, sender: Sender, listener: Receiver
) -> None:
    strict = Rules.of((), 5)
    with member_session(web, camille.member_id, camille.actor) as session, pytest.raises(InvalidInput) as error:
        webhooks.add(session, sender.box, strict, camille, "x", "https://10.0.0.1/", [], datetime.now(UTC))
    assert error.value.code == "address_refused"
    hook = Hook(web, camille, replace(sender, rules=strict), listener.url)  # allowed when it was made, no longer now
    hook.happen(1)
    webhooks_sending.send(hook.sender)
    assert hook.log()[0]["tries"][0].error.startswith("address_refused")
    assert listener.got == []


def test_what_is_another_members_is_unknown(owner: sa.Engine, web: sa.Engine, hook: Hook) -> None:
    hook.happen(1)
    spy = person(owner, "spy", member(owner, "orgelune"), "requester")
    delivery = hook.log()[0]["id"]
    acts = (
        lambda s: webhooks.rotate(s, hook.sender.box, hook.id, datetime.now(UTC)),
        lambda s: webhooks.replay(s, delivery, datetime.now(UTC)),
        lambda s: webhooks.remove(s, hook.id, datetime.now(UTC)),
    )
    for act in acts:
        with member_session(web, spy.member_id, spy.actor) as session, pytest.raises(NotFound):
            act(session)
    with member_session(web, spy.member_id, spy.actor) as session:
        assert webhooks.listed(session, spy.member_id, everybody=True) == []
        assert webhooks.deliveries(session, hook.id) == ([], None)
        assert session.scalars(sa.select(Attempt)).all() == []


@pytest.mark.parametrize(
    ("label", "events", "code"), [("", [], "invalid_label"), ("x", ["order.eaten"], "unknown_event")]
)
def test_wrong_endpoints_are_refused(
    web: sa.Engine, camille: Caller, sender: Sender, label: str, events: list[str], code: str
) -> None:
    with member_session(web, camille.member_id, camille.actor) as session, pytest.raises(ClocherError) as error:
        webhooks.add(session, sender.box, HOME, camille, label, "https://a.example/", events, datetime.now(UTC))
    assert error.value.code == code


def test_a_test_event_and_a_removed_endpoint(hook: Hook, listener: Receiver) -> None:
    with hook.session() as session:
        webhooks.test(session, hook.id, datetime.now(UTC))
    webhooks_sending.send(hook.sender)
    assert Webhook(hook.secret).verify(listener.got[0][1], listener.got[0][0])["type"] == "webhook.test"
    hook.happen(1)
    with hook.session() as session:
        webhooks.remove(session, hook.id, datetime.now(UTC))
        assert webhooks.listed(session, hook.who.member_id) == []
    assert webhooks_sending.send(hook.sender) == 0
