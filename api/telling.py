"""What a worker does so that people and programs are told: expiry and reminders, notices, mails, webhooks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

from api.look import Look
from api.mail import renderer
from orchestrator import sealing
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.worker import Duty
from tenants import approvals, budget_watch, mails, notices, outside, postman, webhooks, webhooks_sending

SEAL = "webhook secrets"


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


def actor(runtime: Runtime) -> str:
    """How the audit trail names what this worker does by itself."""
    return f"worker {runtime.settings.worker_id}"


@cache
def carrier(settings: Settings) -> mails.Carry:
    """What carries this installation's mails; said once."""
    return postman.choose(settings)


def tell(runtime: Runtime) -> None:
    """Read the audit trail until its end."""
    while notices.tell(runtime.engine, actor(runtime), runtime.settings.public_url, now()) == notices.AT_ONCE:
        pass


def send_mails(runtime: Runtime) -> None:
    """Send what is due."""
    settings = runtime.settings
    render = renderer(settings, Look(settings).name)
    sender = mails.Sender(runtime.engine, actor(runtime), render, carrier(settings), settings.mail_from, now)
    while mails.send(sender) == mails.AT_ONCE:
        pass


def send_webhooks(runtime: Runtime) -> None:
    """Send what is due."""
    settings = runtime.settings
    rules = outside.Rules.of(settings.webhook_networks, settings.webhook_timeout)
    box = sealing.box(settings, SEAL)
    webhooks_sending.send(webhooks_sending.Sender(runtime.engine, actor(runtime), box, rules, now))


def watch(runtime: Runtime) -> None:
    """What time itself does: orders expire, reminders come due, budgets fill, old mails and deliveries go."""
    acts: tuple[Callable[..., int], ...] = (approvals.expire, approvals.remind, budget_watch.watch, mails.forget)
    for act in acts:
        act(runtime.engine, actor(runtime), now())
    webhooks.forget(runtime.engine, actor(runtime), timedelta(days=runtime.settings.webhook_log_days), now())


DUTIES = (
    Duty("tell", 1.0, tell),
    Duty("mails", 2.0, send_mails),
    Duty("webhooks", 1.0, send_webhooks),
    Duty("watch", 60.0, watch),
)
