"""The duties of a worker, as a worker runs them: from an order to the mail and the webhook about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from standardwebhooks import Webhook

from api import telling
from api.cli import main
from orchestrator import settings as settings_module
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from tests.tenants.approving import adopt, person, place
from tests.tenants.ordering import member, seed
from tests.tenants.receiving import Receiver, receiver


@pytest.fixture
def listener() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def run(monkeypatch: pytest.MonkeyPatch, settings: Settings, *words: str) -> str:
    """A command's output, on the test's database."""
    monkeypatch.setattr(settings_module, "load", lambda: settings)
    outcome = CliRunner().invoke(main, words)
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


@pytest.mark.slow
def test_from_an_order_to_its_mail_and_its_webhook(
    owner: sa.Engine,
    web: sa.Engine,
    worker: sa.Engine,
    settings: Settings,
    listener: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings.model_copy(update={"webhook_networks": ("127.0.0.0/8",)})
    seed(owner)
    brevaux = member(owner)
    camille, _ = person(owner, "camille", brevaux, "requester"), person(owner, "noor", brevaux, "approver")
    adopt(owner, "approver")
    url = listener.url
    made = json.loads(
        run(monkeypatch, settings, "webhooks", "add", url, "--label", "CMDB", "--member", "brevaux", "--json")
    )
    runtime = Runtime(settings, worker, None)  # type: ignore[arg-type]  # nothing here asks the cloud
    order = place(web, camille)
    for duty in telling.DUTIES:
        duty.act(runtime)
    [mail] = (settings.state_dir / "mails").iterdir()
    assert b"noor@vallombre.example" in mail.read_bytes()
    verified = Webhook(made["secret"]).verify(listener.got[-1][1], listener.got[-1][0])
    assert (verified["type"], verified["data"]["order"]) == ("order.placed", order.id)
    assert "order_waiting" in run(monkeypatch, settings, "mails", "list", "--json")
    log = json.loads(run(monkeypatch, settings, "webhooks", "list", "--log", str(made["id"]), "--json"))
    assert [(row["state"], row["status"]) for row in log] == [("sent", 204)]
    run(monkeypatch, settings, "webhooks", "test", str(made["id"]))
    today = datetime.now(UTC).date().isoformat()
    assert "1 envoi" in run(monkeypatch, settings, "webhooks", "replay", str(made["id"]), "--since", today, "--all")
    telling.send_webhooks(runtime)
    kinds = sorted(json.loads(body)["type"] for _, body in listener.got)
    assert kinds == ["order.placed", "order.placed", "webhook.test"]
    assert "secret" not in run(monkeypatch, settings, "webhooks", "list", "--json")
