"""Bring the database to the newest schema: our migrations, those of the flow engine, roles and their passwords."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from dbos import DBOS
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from orchestrator.database import ROLES, connect, role_password, url_for
from orchestrator.errors import InvalidInput, Text, Unavailable
from orchestrator.settings import Settings

MINIMUM = 150000  # PostgreSQL 15
LOCK = 0x436C6F63  # advisory lock: two upgrades at once wait for each other


def alembic_config(connection: sa.Connection) -> Config:
    """Alembic's configuration for our migrations on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def is_current(session: Session) -> bool:
    """Whether the database has the schema that this release was written for."""
    newest = ScriptDirectory.from_config(alembic_config(session.connection())).get_current_head()
    if not session.scalar(sa.text("SELECT to_regclass('alembic_version')")):
        return False
    return bool(session.scalar(sa.text("SELECT version_num FROM alembic_version")) == newest)


def upgrade(settings: Settings) -> None:
    """Create or migrate everything; safe to run again and by several processes at once."""
    engine = connect(settings, "owner")
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            connection.commit()
            _check_version(connection)
            _make_roles(connection, settings)
            # The flow engine first: our queue trigger calls its enqueue function.
            DBOS.migrate(
                url_for(settings, "owner").render_as_string(hide_password=False), application_role="clocher_worker"
            )
            command.upgrade(alembic_config(connection), "head")
            connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()
    except OperationalError as error:
        raise Unavailable(
            "database_unavailable",
            "La base de données ne répond pas.",
            "Vérifiez CLOCHER_DATABASE_URL et que le serveur tourne.",
            detail=str(error.orig),
        ) from error
    finally:
        engine.dispose()


def _check_version(connection: sa.Connection) -> None:
    version = connection.execute(sa.text("SELECT current_setting('server_version_num')::int")).scalar_one()
    if version < MINIMUM:
        raise InvalidInput(
            "postgresql_too_old",
            Text("PostgreSQL {version} est trop ancien.", version=version // 10000),
            "Il faut la version 15.",
        )


def _make_roles(connection: sa.Connection, settings: Settings) -> None:
    """Roles belong to the server, not to the database: they are made outside the migrations."""
    for role in ("clocher_territory", *ROLES):
        connection.execute(
            sa.text(
                f"DO $$ BEGIN CREATE ROLE {role} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;"
                " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        )
    # ALTER ROLE takes no lock, and an advisory lock holds in one database only: a comment locks the role itself, on the
    # whole server until we commit. Upgrades of two databases follow each other here.
    connection.execute(sa.text("COMMENT ON ROLE clocher_territory IS 'Clocher: those who act for all members'"))
    for role in ROLES:
        # A utility statement takes no parameters; the password is hexadecimal.
        password = role_password(settings, role)
        connection.execute(sa.text(f"ALTER ROLE {role} LOGIN PASSWORD '{password}'"))
    connection.execute(sa.text("GRANT clocher_territory TO clocher_staff, clocher_worker"))
    connection.commit()
