"""Engines, sessions and who they speak for.

Row-level security decides what a session sees. The web role sees one member, the one its transaction names;
the staff and worker roles may also name the whole territory. Without a name, nobody sees anything.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from orchestrator import postgres
from orchestrator.errors import Conflict, Unavailable
from orchestrator.settings import Settings

Role = Literal["owner", "clocher_web", "clocher_staff", "clocher_worker", "clocher_door"]
ROLES: tuple[Role, ...] = ("clocher_web", "clocher_staff", "clocher_worker", "clocher_door")

# The same query reads one service, one member or all of them: it is planned anew for the values at hand, since one plan
# can't be good for all.
OPTIONS = "-c timezone=UTC -c plan_cache_mode=force_custom_plan"
# What our triggers refuse, by SQLSTATE: code, sentence, next action.
REFUSALS = {
    "CL001": ("append_only", "Ce qui est écrit là ne se change pas.", "Écrivez un fait nouveau."),
    "CL002": ("period_closed", "La période est close : elle ne change plus.", "Corrigez dans une période suivante."),
    "CL003": ("price_rewritten", "Un prix publié ne change pas.", "Déclarez un nouveau tarif."),
}
# No such schema, table, column or function: the database is older than this release, or was never made.
OUTDATED = {"3F000", "42P01", "42703", "42883"}


class Base(DeclarativeBase):
    """Every table. Text has no length, instants have a zone, money has no float."""

    metadata = sa.MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads the class attribute)
        str: sa.Text(),
        int: sa.BigInteger(),
        Decimal: sa.Numeric(),
        datetime: sa.TIMESTAMP(timezone=True),
        dict[str, Any]: postgresql.JSONB(),
        list[Any]: postgresql.JSONB(),
    }


def role_password(settings: Settings, role: Role) -> str:
    """The password of one of our database roles: derived from the secret key, so there is nothing more to keep."""
    return hmac.new(settings.key(), f"database role {role}".encode(), hashlib.sha256).hexdigest()


def url_for(settings: Settings, role: Role) -> sa.URL:
    """Where `role` connects. The embedded PostgreSQL is started when no server is set."""
    chosen = {
        "owner": settings.database_url,
        "clocher_web": settings.web_database_url,
        "clocher_staff": settings.staff_database_url,
        "clocher_worker": settings.worker_database_url,
        "clocher_door": settings.door_database_url,
    }[role]
    base = chosen or settings.database_url
    url = sa.make_url(base.get_secret_value() if base else postgres.ensure_running(settings.state_dir / "postgres"))
    url = url.set(drivername="postgresql+psycopg")
    return url if chosen or role == "owner" else url.set(username=role, password=role_password(settings, role))


def connect(settings: Settings, role: Role, *, pool_size: int = 5) -> sa.Engine:
    """An engine for `role`; connections are checked before use, so a restarted server is no error."""
    return sa.create_engine(
        url_for(settings, role),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_timeout=10,
        connect_args={"connect_timeout": 5, "application_name": role, "options": OPTIONS},
    )


NAME_SCOPE = sa.text(
    "SELECT set_config('clocher.scope', :scope, true), set_config('clocher.member', :member, true),"
    " set_config('clocher.actor', :actor, true), set_config('transaction_read_only', :reads, true)"
)


WHOLE_MONTH = sa.text(
    "SELECT set_config('plan_cache_mode', 'auto', true), set_config('work_mem', '64MB', true),"
    " set_config('jit', 'off', true), set_config('random_page_cost', '1.1', true)"
)


def read_whole_months(session: Session) -> None:
    """For the rest of its transaction, let the session sort a month's rows in memory, and plan once only what is done
    for each row (the check of a reference); `OPTIONS` is for pages. What is read a hundred thousand times is in memory:
    finding a statement by its index then costs less than reading all of them.
    """
    session.execute(WHOLE_MONTH)


@event.listens_for(Session, "after_begin")
def _name_the_scope(session: Session, _transaction: object, connection: sa.Connection) -> None:
    info = session.info
    if info.get("scope") is not None:
        named = {"scope": info["scope"], "member": str(info.get("member_id") or ""), "actor": info["actor"]}
        connection.execute(NAME_SCOPE, named | {"reads": "on" if info.get("reads") else "off"})


@contextmanager
def _session(engine: sa.Engine, info: dict[str, Any]) -> Iterator[Session]:
    try:
        with Session(engine, info=info, expire_on_commit=False) as session, session.begin():
            yield session
    except OperationalError as error:
        if error.connection_invalidated or "connection" in str(error.orig).lower():
            raise Unavailable(
                "database_unavailable",
                "La base de données ne répond pas.",
                "Rien n’est perdu ; réessayez dans un instant ou prévenez la DSI.",
                detail=str(error.orig),
            ) from error
        raise
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if state in REFUSALS:
            raise Conflict(*REFUSALS[state], detail=str(error.orig)) from error
        if state in OUTDATED:
            raise Unavailable(
                "database_outdated",
                "La base de données n’a pas le schéma de cette version.",
                "Lancez « clocher database upgrade ».",
                detail=str(error.orig),
            ) from error
        raise


@contextmanager
def member_session(engine: sa.Engine, member_id: int, actor: str, *, reads: bool = False) -> Iterator[Session]:
    """One transaction that sees only `member_id`'s rows; `actor` goes to the audit trail. reads: it can't write."""
    with _session(engine, {"scope": "member", "member_id": member_id, "actor": actor, "reads": reads}) as session:
        yield session


@contextmanager
def territory_session(engine: sa.Engine, actor: str, *, reads: bool = False) -> Iterator[Session]:
    """One transaction that sees every member's rows; only the staff, worker and owner roles can. reads: no writing."""
    with _session(engine, {"scope": "territory", "actor": actor, "reads": reads}) as session:
        yield session


@contextmanager
def door_session(engine: sa.Engine, actor: str) -> Iterator[Session]:
    """One transaction that sees who people are and what proves them, and nothing else; only the door's role can."""
    with _session(engine, {"scope": "door", "actor": actor}) as session:
        yield session
