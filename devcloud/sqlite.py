"""Make every SQLite engine of this process fit for many threads. Call `tune` before a service is imported."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy.engine import Engine

WRITER = "clocher_writer"


def tune() -> None:
    """Waiters wait instead of failing, and a transaction that will write takes the write lock as it begins.

    oslo.db begins every SQLite transaction with a deferred BEGIN. One that reads first and writes later then fails at
    once with "database is locked" when another connection committed in between, whatever the busy timeout.
    """
    sqlalchemy.event.listen(Engine, "connect", _set_pragmas)
    sqlalchemy.event.listen(Engine, "begin", _begin_immediately)
    create = enginefacade._TransactionFactory._create_session

    def create_marked(self: Any, mode: Any, bind: Any = None) -> Any:
        session = create(self, mode, bind)
        if mode is enginefacade._WRITER and isinstance(session.bind, Engine):
            session.bind = session.bind.execution_options(**{WRITER: True})
        return session

    enginefacade._TransactionFactory._create_session = create_marked


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA busy_timeout = 60000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # a development cloud: speed before power cuts


def _begin_immediately(connection: Any) -> None:
    if "in_transaction" in connection.info or not connection.get_execution_options().get(WRITER):
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    connection.info["in_transaction"] = True  # oslo.db's own listener, which runs next, then leaves it alone
