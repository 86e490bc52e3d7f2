"""A worker's name belongs to one living process."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator import worker as work
from orchestrator.database import connect, territory_session
from orchestrator.errors import Conflict
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import Worker


@pytest.fixture
def runtime(settings: Settings, worker: sa.Engine) -> Runtime:
    """A worker that is about to start; its name needs no cloud."""
    return Runtime(settings, worker, None)


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process on this machine."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def names(runtime: Runtime) -> list[tuple[str, str, int]]:
    with territory_session(runtime.engine, "tests") as session:
        return [(one.id, one.host, one.pid) for one in session.scalars(sa.select(Worker).order_by(Worker.id))]


def write(runtime: Runtime, pid: int, host: str | None = None, **more: Any) -> None:
    """A worker with this runtime's name, as it told us."""
    row = {"id": runtime.settings.worker_id, "host": host or socket.gethostname(), "pid": pid, **more}
    with territory_session(runtime.engine, "tests") as session:
        session.add(Worker(**row))


def ours(runtime: Runtime) -> list[tuple[str, str, int]]:
    return [(runtime.settings.worker_id, socket.gethostname(), os.getpid())]


def test_a_free_name_is_ours(runtime: Runtime) -> None:
    work.claim_name(runtime)
    assert names(runtime) == ours(runtime)


def test_a_second_living_worker_of_a_name_is_refused(runtime: Runtime, other: subprocess.Popen[bytes]) -> None:
    write(runtime, other.pid)
    before = names(runtime)
    with pytest.raises(Conflict) as caught:
        work.claim_name(runtime)
    assert (caught.value.code, caught.value.exit_status) == ("worker_id_taken", 3)
    assert str(other.pid) in str(caught.value)
    assert names(runtime) == before
    apart = runtime.settings.model_copy(update={"worker_id": "worker-2"})
    work.claim_name(Runtime(apart, runtime.engine, None))
    assert [name for name, _, _ in names(runtime)] == ["worker-1", "worker-2"]


def test_a_living_worker_on_another_machine_is_believed(runtime: Runtime) -> None:
    write(runtime, os.getpid(), "elsewhere")
    with pytest.raises(Conflict, match="elsewhere"):
        work.claim_name(runtime)


def test_a_silent_one_is_replaced(runtime: Runtime) -> None:
    dead = sa.func.now() - sa.text("interval '16 seconds'")
    write(runtime, os.getpid(), "elsewhere", seen_at=dead)
    work.claim_name(runtime)
    assert names(runtime) == ours(runtime)


@pytest.mark.parametrize("reaped", [False, True])
def test_a_killed_one_on_this_machine_is_replaced_at_once(
    runtime: Runtime, other: subprocess.Popen[bytes], reaped: bool
) -> None:
    write(runtime, other.pid)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the process table
    if reaped:
        other.wait(10)
    work.claim_name(runtime)
    assert names(runtime) == ours(runtime)


def test_a_container_that_starts_again_has_its_old_number(runtime: Runtime) -> None:
    write(runtime, os.getpid())
    work.claim_name(runtime)


def test_of_two_at_the_same_moment_one_is_refused(runtime: Runtime) -> None:
    fork = multiprocessing.get_context("fork")
    barrier, codes = fork.Barrier(2), fork.SimpleQueue()
    processes = [fork.Process(target=claim, args=(runtime.settings, barrier, codes)) for _ in range(2)]
    for process in processes:
        process.start()
    assert sorted([codes.get(), codes.get()]) == ["", "worker_id_taken"]
    for process in processes:
        process.join(30)


def claim(settings: Settings, barrier: Barrier, codes: Any) -> None:
    """Claim the name when the other is ready too; tell the refusal's code, and live until both have told."""
    engine = connect(settings, "clocher_worker")
    barrier.wait(30)
    try:
        work.claim_name(Runtime(settings, engine, None))
        codes.put("")
    except Conflict as refusal:
        codes.put(refusal.code)
    barrier.wait(30)
