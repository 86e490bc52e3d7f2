"""The models say what the migrations made."""

import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import orchestrator
import tenants
from orchestrator import schema
from orchestrator.database import Base, territory_session
from orchestrator.errors import Unavailable
from orchestrator.settings import Settings

for room in (orchestrator, tenants):
    for path in Path(str(room.__file__)).parent.glob("tables*.py"):
        importlib.import_module(f"{room.__name__}.{path.stem}")


def test_models_equal_migrations(owner: sa.Engine) -> None:
    with owner.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrade_again_changes_nothing(settings: Settings, owner: sa.Engine) -> None:
    newest = max(path.name[:4] for path in Path(schema.__file__).parent.glob("migrations/versions/0*.py"))
    schema.upgrade(settings)
    with owner.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == [newest]


@pytest.mark.slow
def test_two_databases_of_one_server_are_upgraded_at_once(settings: Settings, owner: sa.Engine, server: sa.URL) -> None:
    beside = sa.create_engine(server.set(drivername="postgresql+psycopg"))
    together = Barrier(2)

    def upgrade(engine: sa.Engine) -> None:
        with engine.connect() as connection:
            together.wait(10)
            for _ in range(8):
                schema._make_roles(connection, settings)

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(upgrade, (owner, beside))) == [None, None]
    beside.dispose()


def test_a_database_that_was_not_made_is_told(settings: Settings, owner: sa.Engine) -> None:
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE quotas RENAME TO former"))
    with pytest.raises(Unavailable) as told, territory_session(owner, "test") as session:
        session.execute(sa.select(Base.metadata.tables["quotas"])).all()
    assert told.value.code == "database_outdated"


def test_no_float_column() -> None:
    floats = [c for t in Base.metadata.sorted_tables for c in t.columns if isinstance(c.type, sa.Float)]
    assert floats == []
