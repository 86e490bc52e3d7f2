"""A database of its own for a measurement, beside the installation's, dropped at the end."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from pydantic import SecretStr

from orchestrator import schema
from orchestrator.database import url_for
from orchestrator.settings import Settings


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """The settings with a fresh, migrated database on the same server; its owner may create databases.

    Whoever is told to end (SIGTERM) drops it too: that raises KeyboardInterrupt, as Ctrl-C does.
    """
    name = f"clocher_scratch_{secrets.token_hex(4)}"
    owner = url_for(settings, "owner")
    server = sa.create_engine(owner, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    ended = None
    if threading.current_thread() is threading.main_thread():
        ended = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        url = SecretStr(owner.set(database=name).render_as_string(hide_password=False))
        # The other roles' addresses follow the owner's; one that is set apart would lead to the real database.
        apart = dict.fromkeys(f"{role}_database_url" for role in ("web", "staff", "worker", "door"))
        alone = settings.model_copy(update={"database_url": url, **apart})
        schema.upgrade(alone)
        yield alone
    finally:
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()
        if ended is not None:
            signal.signal(signal.SIGTERM, ended)
