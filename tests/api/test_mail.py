"""Mails leave by a real SMTP server, say the same in two languages and two forms, and are tried again."""

from __future__ import annotations

import email
import re
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

import api.mail
from api.mail import renderer
from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from orchestrator.settings import Settings
from tenants import mails, postman
from tenants.tables_notices import Mail

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ORDER = {
    "receiver": "Noor", "path": "/orders/7", "order": 7, "kind": "create", "name": "web", "member": "Brevaux <& Cie>",
    "offer": {"fr": "Petite machine", "en": "Small machine"}, "monthly": "1234.50", "difference": "1234.50",
    "placed_by": "Camille Roy",
}  # fmt: skip
SERVICE = {"path": "/services/3", "name": "web", "member": "Brevaux", "address": "10.80.1.7"}
FLOW = {"path": "/flows/5", "flow": 5, "kind": "stop_server", "name": "web", "member": "Brevaux", "held": True,
        "sentence": "Votre espace dans le nuage n’est pas encore prêt.", "code": "place_missing"}  # fmt: skip
FACTS: dict[str, list[dict[str, Any]]] = {
    "order_waiting": [ORDER | {"step": "dsi", "due_at": "2026-12-23T12:00:00+00:00"}],
    "order_reminder": [ORDER | {"kind": "resize", "difference": "-3", "step": "approver", "due_at": None}],
    "order_decided": [
        ORDER | {"verdict": verdict, "reason": "Trop cher.", "decided_by": "Noor"}
        for verdict in ("approve", "reject", "expire")
    ],
    "service_active": [SERVICE, SERVICE | {"address": None}],
    "service_failed": [SERVICE],
    "flow_failed": [FLOW],
    "flow_trouble": [FLOW, FLOW | {"held": False, "sentence": None, "code": None}],
    "budget_reached": [
        {"path": "/costs", "member": "Brevaux", "year": 2026, "reached": reached, "committed": "131.40",
         "budget": "140.00"} for reached in (80, 100)
    ],
    "backup_late": [
        {"path": "/services/1", "name": "salut", "member": "Brevaux", "last": last}
        for last in ("2026-11-21T01:00:00+00:00", None)
    ],
    "backup_unproved": [
        {"path": "/services/1", "name": "salut", "member": "Brevaux", "made": "2026-11-21T01:00:00+00:00"}
    ],
    "answer_ends": [
        {"path": "/services/1", "name": "cameras", "member": "Brevaux", "day": "2027-01-31", "over": over,
         "label": {"fr": "Fin de l’autorisation", "en": "End of the authorisation"}} for over in (True, False)
    ],
    "drift_found": [{"path": "/services/1", "name": "salut", "member": "Brevaux", "tasks": ["Harden SSH", "Ours"]}],
    "certificate_late": [
        {"path": "/services/1", "hosts": [
            {"host": "a.brevaux.valmont.test", "trouble": "late", "until": "2026-12-01T01:00:00+00:00", "why": "DNS"},
            {"host": "b.brevaux.valmont.test", "trouble": "missing", "until": None, "why": None},
        ][:many]} for many in (1, 2)
    ],
    "cloud_outside": [
        {"path": "/services/1", "name": "salut", "member": "Brevaux", "made": made, "resource": "server",
         "facts": [{"kind": "resized", "at": "2026-11-21T01:00:00+00:00"}]} for made in (True, False)
    ],
    "upgrade": [
        {"path": "/services/1", "name": "salut", "member": "Brevaux", "version": "2", "step": step, "reason": "Vote.",
         "brings": [{"version": "2", "brings": {"fr": "Mieux.", "en": "Better."}}], "why": "no_proof",
         "starts_at": "2026-12-01T20:00:00+00:00", "ends_at": "2026-12-02T00:00:00+00:00"}
        for step in ("announce", "postpone", "miss", "done", "failed", "cancel")
    ],
    "dispute": [
        {"path": "/finance/disputes/1", "member": "Brevaux", "step": step, "period": "2026-10", "position": 3,
         "reason": "Trop.", "words": words, "amount": amount}
        for step, words, amount in (("open", None, None), ("withdraw", None, None), ("answer", "Vu.", None),
                                    ("settle", "Geste.", "-12.40"), ("reject", "Non.", None))
    ],
    "webhook_disabled": [{"path": "/webhooks", "label": "CMDB", "url": "https://hook.example/"}],
    "invitation": [{"path": "/password/s3cret", "name": "Jo", "choose": True, "member": "Brevaux"},
                   {"path": "/sign-in", "name": "Jo", "choose": False, "member": None}],
    "reset": [{"path": "/password/s3cret", "name": "Jo", "choose": True},
              {"path": "/sign-in", "name": "Jo", "choose": False}],
}  # fmt: skip


class Box:
    """What the server got; `says`: its answer to the next mails."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []
        self.says = "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.says.startswith("250"):
            content = cast(bytes, envelope.content)
            self.got.append(cast(EmailMessage, email.message_from_bytes(content, policy=default)))
        return self.says


@pytest.fixture
def post_office() -> Iterator[tuple[Box, int]]:
    kept = Box()
    controller = Controller(kept, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield kept, controller.port
    controller.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def sending(worker: sa.Engine, settings: Settings, at: datetime, carry: mails.Carry | None = None) -> mails.Sender:
    render = renderer(settings, "Vallombre")
    carry = carry or postman.choose(settings)
    return mails.Sender(worker, "worker w", render, carry, "Clocher <clocher@vallombre.example>", lambda: at)


def queue(owner: sa.Engine, template: str = "reset", language: str = "fr", **more: Any) -> None:
    with territory_session(owner, "tests") as session:
        facts = FACTS[template][0]
        mails.queue(session, to="jo@brevaux.example", template=template, language=language, facts=facts, **more)


def due(owner: sa.Engine) -> datetime:
    with territory_session(owner, "tests") as session:
        return session.scalars(sa.select(Mail.due_at)).one()


@pytest.fixture
def smtp(settings: Settings, post_office: tuple[Box, int]) -> Settings:
    return settings.model_copy(
        update={"smtp_host": "127.0.0.1", "smtp_port": post_office[1], "smtp_security": "none", "smtp_timeout": 5.0}
    )


def test_a_mail_arrives_once_and_its_secret_is_forgotten(
    owner: sa.Engine, worker: sa.Engine, smtp: Settings, post_office: tuple[Box, int]
) -> None:
    queue(owner)
    sender = sending(worker, smtp, due(owner))
    assert (mails.send(sender), mails.send(sender)) == (1, 0)
    [mail] = post_office[0].got
    assert (mail["To"], mail["From"]) == ("jo@brevaux.example", "Clocher <clocher@vallombre.example>")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Id"] == "Clocher <notices.vallombre.example>"
    text, html = (cast(EmailMessage, mail.get_body((form,))).get_content() for form in ("plain", "html"))
    assert "http://127.0.0.1:8080/password/s3cret" in text
    assert 'href="http://127.0.0.1:8080/password/s3cret"' in html
    with territory_session(owner, "tests") as session:
        row = session.scalars(sa.select(Mail)).one()
        assert (row.state, row.facts, mail["Message-ID"]) == ("sent", {}, f"<{row.ref.hex}@vallombre.example>")


def test_a_server_that_is_busy_gets_it_later_under_the_same_id(
    owner: sa.Engine, worker: sa.Engine, smtp: Settings, post_office: tuple[Box, int]
) -> None:
    kept = post_office[0]
    queue(owner)
    at = due(owner)
    seen = []
    carry = postman.choose(smtp)

    def watched(mail: EmailMessage) -> None:
        seen.append(mail["Message-ID"])
        carry(mail)

    kept.says = "451 busy"
    for wait in mails.RETRIES[:3]:
        assert mails.send(sending(worker, smtp, at, watched)) == 1
        assert mails.send(sending(worker, smtp, at + wait - timedelta(seconds=1), watched)) == 0
        at += wait
    kept.says = "250 OK"
    assert mails.send(sending(worker, smtp, at, watched)) == 1
    assert (len(seen), len(set(seen)), len(kept.got)) == (4, 1, 1)


def test_a_receiver_that_is_refused_fails_at_once_and_can_be_tried_again(
    owner: sa.Engine, staff: sa.Engine, worker: sa.Engine, smtp: Settings, post_office: tuple[Box, int]
) -> None:
    post_office[0].says = "550 no such person"
    queue(owner)
    at = due(owner)
    mails.send(sending(worker, smtp, at))
    with territory_session(staff, "dsi") as session:
        [row] = mails.listed(session, state="failed")
        assert row["error"] == "mail_refused 550 no such person"
        post_office[0].says = "250 OK"
        mails.retry(session, row["id"], at)
    mails.send(sending(worker, smtp, at))
    assert len(post_office[0].got) == 1
    with territory_session(staff, "dsi") as session, pytest.raises(Conflict):
        mails.retry(session, row["id"], at)


def test_a_worker_that_dies_while_sending_leaves_it_to_the_next(owner: sa.Engine, worker: sa.Engine,
                                                                settings: Settings) -> None:  # fmt: skip
    class Killed(BaseException):
        """What a killed worker does: nothing more."""

    def die(mail: EmailMessage) -> None:
        postman.choose(settings)(mail)
        raise Killed

    queue(owner)
    at = due(owner)
    with pytest.raises(Killed):
        mails.send(sending(worker, settings, at, die))
    assert mails.send(sending(worker, settings, at)) == 0
    assert mails.send(sending(worker, settings, at + mails.CLAIMED)) == 1
    assert len(list((settings.state_dir / "mails").iterdir())) == 1  # the same mail is the same file


def test_without_a_server_mails_are_files_for_their_owner_only(
    owner: sa.Engine, worker: sa.Engine, settings: Settings
) -> None:
    queue(owner, "order_waiting", "en")
    mails.send(sending(worker, settings, due(owner)))
    [kept] = (settings.state_dir / "mails").iterdir()
    assert (kept.suffix, kept.stat().st_mode & 0o777) == (".eml", 0o600)
    with kept.open("rb") as file:
        assert email.message_from_binary_file(file, policy=default)["Content-Language"] == "en"


def test_a_mail_that_cannot_be_written_stops_no_other(owner: sa.Engine, worker: sa.Engine, settings: Settings) -> None:
    with territory_session(owner, "tests") as session:
        for template in ("nonsense", "service_active"):
            mails.queue(session, to="a@b.example", template=template, language="fr", facts=SERVICE)
    assert mails.send(sending(worker, settings, datetime.now(UTC))) == 2
    with territory_session(owner, "tests") as session:
        rows = {mail.template: mail.state for mail in session.scalars(sa.select(Mail))}
        assert rows == {"nonsense": "failed", "service_active": "sent"}


def test_nobody_smuggles_headers_or_markup(worker: sa.Engine, settings: Settings) -> None:
    facts = SERVICE | {"name": "web\r\nBcc: all@vallombre.example", "member": "<script>x</script>"}
    claim = mails.Claim(1, uuid.uuid4(), "a@b.example", "service_active", "fr", facts, NOW, 1)
    mail = mails.message(sending(worker, settings, NOW), claim)
    assert mail["Bcc"] is None
    assert "<script>" not in cast(EmailMessage, mail.get_body(("html",))).get_content()
    assert "<script>x</script>" in cast(EmailMessage, mail.get_body(("plain",))).get_content()


def test_every_template_is_tried() -> None:
    beside = {"frame", "order"}
    assert {path.stem for path in Path(api.mail.__file__).parent.glob("*.html")} - beside == FACTS.keys()


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("name", FACTS)
def test_each_template_says_its_facts_and_loads_nothing(name: str, language: str) -> None:
    settings = Settings(_env_file=None)
    for facts in FACTS[name]:
        said = renderer(settings, "Vallombre")(name, language, facts)
        assert said.subject and "\n" not in said.subject
        assert settings.public_url + facts["path"] in said.text
        assert not re.search(r"src=|<link|<style|url\(|<script", said.html)
        assert "None" not in said.text and "%(" not in said.text and "&" not in said.text.replace("& Cie", "")
        if language == "fr":
            assert not re.search(r"\w [:;!?»]|« ", said.subject + said.text), "a space that may break"
            assert ("1\u202f234,50\xa0€" in said.text) == (name in ("order_waiting", "order_decided"))
