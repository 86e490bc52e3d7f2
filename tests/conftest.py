"""A real PostgreSQL for every test, made by the migrations.

The embedded server by default; CLOCHER_TEST_DATABASE_URL names another one (its user may create databases).
Each test has a database of its own, copied from a migrated template.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from orchestrator import database, postgres, schema
from orchestrator.settings import Settings
from tenants import catalogue, declarations_yaml, legal, stacks
from tests import dev_clouds

SECRET = "a secret for the tests only"
LONG_FILES = ("test_stacks_whole.py", "test_moving.py", "test_day2_kill.py", "test_kill.py", "test_days.py")
dev_clouds.take_mine()
# A shell that runs us in the background has us ignore Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The default traceback shows every local variable, and takes seconds to write.
structlog.configure(
    processors=[structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
)


def _settings(state: Path, url: sa.URL) -> Settings:
    return Settings(
        state_dir=state,
        secret_key=SECRET,
        database_url=url.render_as_string(hide_password=False),
        password_memory_kib=64,  # the tests are not there to be hard to guess
        password_passes=1,
        password_lanes=1,
        api_requests_per_minute=1_000_000,
        api_changes_per_minute=1_000_000,
        _env_file=None,
    )


@pytest.fixture(scope="session", autouse=True)
def yaml_read_once() -> Iterator[None]:
    """The same few declarations are read by almost every test: to parse them costs more than most tests do."""
    read = cache(declarations_yaml.load_yaml)
    with pytest.MonkeyPatch.context() as patch:
        for module in (catalogue, legal, stacks):
            patch.setattr(module, "load_yaml", read)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[sa.URL]:
    """The URL of a PostgreSQL server where databases can be made."""
    given = os.environ.get("CLOCHER_TEST_DATABASE_URL")
    if given:
        yield sa.make_url(given)
        return
    # Not under pytest's folder: another run tidies that, and the server's own user could no longer enter.
    with tempfile.TemporaryDirectory(prefix="clocher-tests-", dir=_memory()) as folder:
        data = Path(folder) / "data"
        url = sa.make_url(postgres.ensure_running(data))
        engine = _administration(url)
        with engine.connect() as connection:
            for unsafe in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
                # A test's database survives neither power cut nor day.
                connection.exec_driver_sql(f"ALTER SYSTEM SET {unsafe} = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        yield url
        postgres.stop(data)


@pytest.fixture(scope="session")
def administer(server: sa.URL) -> Iterator[Callable[[str], object]]:
    """Runs a statement on the server, outside the databases of tests, in a connection that is kept."""
    engine = _administration(server)
    with engine.connect() as connection:
        yield connection.exec_driver_sql
    engine.dispose()


@pytest.fixture(scope="session")
def template(
    server: sa.URL, administer: Callable[[str], object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The name of a migrated database that tests copy."""
    name = f"clocher_template_{uuid.uuid4().hex[:8]}"
    administer(f"CREATE DATABASE {name}")
    schema.upgrade(_settings(tmp_path_factory.mktemp("template"), server.set(database=name)))
    yield name
    administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(server: sa.URL, administer: Callable[[str], object], template: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an installation with a fresh, migrated database and an empty state folder."""
    name = f"clocher_test_{uuid.uuid4().hex[:8]}"
    # With nothing to flush, copying files is five times quicker than copying through the log.
    administer(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield _settings(tmp_path, server.set(database=name))
    administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def owner(settings: Settings) -> Iterator[sa.Engine]:
    """The owner of the tables: bypasses row-level security."""
    yield from _engine(settings, "owner")


@pytest.fixture
def web(settings: Settings) -> Iterator[sa.Engine]:
    """What the portal uses for a member."""
    yield from _engine(settings, "clocher_web")


@pytest.fixture
def staff(settings: Settings) -> Iterator[sa.Engine]:
    """What the portal and the CLI use for the territory."""
    yield from _engine(settings, "clocher_staff")


@pytest.fixture
def door(settings: Settings) -> Iterator[sa.Engine]:
    """What the portal uses before anybody is known."""
    yield from _engine(settings, "clocher_door")


@pytest.fixture
def worker(settings: Settings) -> Iterator[sa.Engine]:
    """What flows use."""
    yield from _engine(settings, "clocher_worker")


def _memory() -> Path | None:
    """A file system in memory with room for a server: databases are copied ten times quicker there than on a disk."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > 2**30 else None


def _engine(settings: Settings, role: database.Role) -> Iterator[sa.Engine]:
    engine = database.connect(settings, role)
    yield engine
    engine.dispose()


def _administration(server: sa.URL) -> sa.Engine:
    return sa.create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first: at the end one process would wait for them alone."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--api-examples", type=int, default=3, help="requests that schemathesis invents for an operation")
