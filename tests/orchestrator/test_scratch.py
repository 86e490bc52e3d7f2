"""A database of its own for a measurement: there while it is used, gone afterwards, whatever ends it."""

from __future__ import annotations

import os
import signal

import pytest
import sqlalchemy as sa

from orchestrator import scratch
from orchestrator.settings import Settings

LEFT = sa.text("SELECT count(*) FROM pg_database WHERE datname LIKE 'clocher_scratch_%'")


def left(owner: sa.Engine) -> int:
    with owner.connect() as connection:
        return int(connection.scalar(LEFT) or 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_who_is_told_to_end_leaves_no_database(settings: Settings, owner: sa.Engine, kind: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), scratch.database(settings):
        assert left(owner) == 1
        os.kill(os.getpid(), kind)
    assert left(owner) == 0
    assert signal.getsignal(signal.SIGTERM) is before
