"""The step that configures a guest has one deadline, whatever the guest does; real plays, towards nobody."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from orchestrator import readiness, steps_stack
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, FlowCancelled
from orchestrator.settings import Settings
from orchestrator.steps import Run, Runtime
from orchestrator.tables import AnsibleEvent, Flow, Member, Service

SLACK = 45.0  # seconds: a play that is cut ends a moment later, later still on a busy machine
SPECIFICATION = {"play": "vm", "admin": "jeanne", "ssh_keys": []}


@pytest.fixture
def run(settings: Settings, owner: sa.Engine, worker: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A flow at its configure step. Its guest greets, as far as we know, and lets nobody in."""
    monkeypatch.setattr(readiness, "greet", lambda address: None)
    with territory_session(owner, "tests") as session:
        member = Member(slug="essai", name="Essai", kind="commune", siren="732829320", siret="73282932000074")
        session.add(member)
        session.flush()
        # 127.0.0.2: this machine, where the account below is nobody's.
        service = Service(member_id=member.id, name="web", specification=SPECIFICATION, address="127.0.0.2")
        session.add(service)
        session.flush()
        flow = Flow(member_id=member.id, service_id=service.id, kind="create_server", requested_by="tests")
        session.add(flow)
        session.flush()
        facts = {"member_id": member.id, "service_id": service.id, "ref": str(service.ref), "name": "web",
                 "specification": SPECIFICATION, "parameters": {}, "place": None}  # fmt: skip
        return Run(Runtime(settings, worker, None), flow.id, 1, facts, cancellable=True)


def limit(run: Run, **seconds: float) -> None:
    run.runtime = Runtime(run.runtime.settings.model_copy(update=seconds), run.runtime.engine, None)


def plays(run: Run) -> int:
    """How many plays found nobody."""
    with run.session() as session:
        unreachable = sa.select(sa.func.count()).where(AnsibleEvent.outcome == "unreachable")
        return session.scalar(unreachable) or 0


def assert_final(error: ClocherError) -> None:
    """Nobody tries again. A deadline that falls into a play cuts it, one between two plays finds the guest away."""
    assert error.code in {"guest_unreachable", "play_timeout"}
    assert not error.retryable
    assert "réessayée" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{"configure_timeout": 5.0}, {"ssh_timeout": 5.0}], ids=str)
def test_an_unreachable_guest_is_given_up_at_the_deadline(run: Run, limits: dict[str, float]) -> None:
    limit(run, **limits)
    run.began = time.monotonic()
    started = time.monotonic()
    with pytest.raises(ClocherError) as caught:
        steps_stack.configure(run)
    assert_final(caught.value)
    if "configure_timeout" in limits:  # the other one is looked at between plays only
        assert time.monotonic() - started < 5 + SLACK


@pytest.mark.slow
def test_a_later_try_has_no_time_of_its_own(run: Run) -> None:
    limit(run, configure_timeout=5.0)
    run.began = time.monotonic() - 6
    started = time.monotonic()
    with pytest.raises(ClocherError) as caught:
        steps_stack.configure(run)
    assert_final(caught.value)
    assert time.monotonic() - started < SLACK
    assert plays(run) <= 1


@pytest.mark.slow
def test_a_cancelled_flow_stops_between_plays(run: Run, owner: sa.Engine) -> None:
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Flow).values(cancel_requested=True))
    with pytest.raises(FlowCancelled):
        steps_stack.configure(run)
