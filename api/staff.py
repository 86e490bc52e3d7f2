"""The session that a command works in: the territory's, in the name of whoever runs the command."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from orchestrator import settings
from orchestrator.database import connect, territory_session


@contextmanager
def staff_session() -> Iterator[Session]:
    """One transaction of the staff role; the audit trail says `cli:` and the account on this machine."""
    engine = connect(settings.load(), "clocher_staff", pool_size=1)
    try:
        with territory_session(engine, f"cli:{getpass.getuser()}") as session:
            yield session
    finally:
        engine.dispose()
