"""The worker: runs flows, shows that it lives, takes over the flows of a worker that died, sweeps what was left behind.

More machines are more workers on the same database, each with its own `worker_id`. A worker that restarts under its
id goes on with its own flows; those of a silent one go to exactly one survivor.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSConfig
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import availability, cloud, database, entry, flows, repair, sweep
from orchestrator.errors import ClocherError, Conflict, Text
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import Worker

log = structlog.get_logger()

TAKEOVER_LOCK = 0x434C0001  # advisory lock: one survivor at a time looks for the dead
AVAILABILITY_SECONDS = 5.0  # how often we look which addresses are to be asked
EXPIRE_SECONDS = 60.0  # how often we look for flows that waited too long for the DSI
NAME_LOCK = 0x434C0002  # advisory lock: one worker at a time takes its name
VERSION = "clocher"  # constant, so that a new release goes on with the flows of the one before


class Duty(NamedTuple):
    """What a worker does again and again beside flows, in a thread of its own; every living worker does it.

    every: seconds from the end of one time to the beginning of the next.
    """

    name: str
    every: float
    act: Callable[[Runtime], object]


def run(settings: Settings, duties: Sequence[Duty] = ()) -> None:
    """Work until SIGTERM or SIGINT. Flows in progress go on at the next start, or with another worker.

    duties: those of the upper rooms, beside our own.
    """
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    engine = database.connect(settings, "clocher_worker", pool_size=settings.flows_total + 6 + len(duties))
    runtime = Runtime(settings, engine, cloud.connect(settings))
    claim_name(runtime)  # before any flow is ours, or nobody would notice our death
    launch(runtime)
    log.info("worker ready", worker=settings.worker_id, pid=os.getpid())
    # Apart from each other: a cloud that hangs must not make this worker look dead.
    own = (
        Duty("keep_alive", settings.heartbeat_seconds, keep_alive),
        Duty("sweep", settings.sweep_seconds, sweep.run),
        Duty("expire_held", EXPIRE_SECONDS, repair.expire),
        Duty("entry", entry.WATCH_SECONDS, entry.settle),
        Duty("certificates", entry.RENEW_SECONDS, entry.renew),
        Duty("availability", AVAILABILITY_SECONDS, availability.watch),
    )
    for duty in (*own, *duties):
        threading.Thread(target=_repeat, args=(duty, runtime, stop), name=duty.name, daemon=True).start()
    stop.wait()
    _leave(runtime)


def _repeat(duty: Duty, runtime: Runtime, stop: threading.Event) -> None:
    """Do a duty every so many seconds. A database or a cloud that is away is told; the next time may be better."""
    while not stop.wait(duty.every):
        try:
            duty.act(runtime)
        except ClocherError as error:
            log.warning("duty failed", duty=duty.name, code=error.code, detail=error.detail)
        except Exception:
            log.exception("duty broke", duty=duty.name)


def launch(runtime: Runtime) -> None:
    """Start the flow engine on our database: it recovers this worker's own flows, then takes queued ones."""
    settings = runtime.settings
    config: DBOSConfig = {
        "name": "clocher",
        "system_database_url": database.url_for(settings, "clocher_worker").render_as_string(hide_password=False),
        "application_version": VERSION,
        "executor_id": settings.worker_id,
        "run_migrations": False,
        "sys_db_pool_size": settings.flows_total + 5,
        "db_engine_kwargs": {
            "pool_pre_ping": True,
            "connect_args": {"connect_timeout": 5, "application_name": f"clocher {settings.worker_id}"},
        },
    }
    DBOS(config=config)
    flows.register(runtime)
    DBOS.launch()
    flows.listen(settings)


def claim_name(runtime: Runtime) -> None:
    """Write that we work under our name.

    Raises Conflict `worker_id_taken` when another living process does: both would run each flow.
    """
    with database.territory_session(runtime.engine, _name(runtime)) as session:
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(NAME_LOCK)))
        other = session.get(Worker, runtime.settings.worker_id)
        if other and other.id in _living(session, runtime.settings.dead_after_seconds) and _is_another(other):
            raise Conflict(
                "worker_id_taken",
                Text(
                    "Un worker « {worker} » travaille déjà (processus {process} sur {host}).",
                    worker=other.id,
                    process=other.pid,
                    host=other.host,
                ),
                "Arrêtez-le, ou donnez un autre nom à celui-ci par CLOCHER_WORKER_ID.",
            )
        _beat(session, runtime)


def _is_another(other: Worker) -> bool:
    """On this machine a dead process is known at once, and a container's restart has the same number: none waits."""
    return other.host != socket.gethostname() or (other.pid != os.getpid() and _runs(other.pid))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # a killed process that its parent has not looked at yet


def beat(runtime: Runtime) -> None:
    """Write that this worker lives."""
    with database.territory_session(runtime.engine, _name(runtime)) as session:
        _beat(session, runtime)


def _beat(session: Session, runtime: Runtime) -> None:
    row = {"id": runtime.settings.worker_id, "host": socket.gethostname(), "pid": os.getpid()}
    session.execute(
        insert(Worker)
        .values(**row)
        .on_conflict_do_update(
            index_elements=["id"],
            set_=row
            | {
                "seen_at": sa.func.now(),
                "started_at": sa.case((Worker.pid == os.getpid(), Worker.started_at), else_=sa.func.now()),
            },
        )
    )


def keep_alive(runtime: Runtime) -> None:
    """Show that we live, and see who does not."""
    beat(runtime)
    take_over(runtime)


def take_over(runtime: Runtime) -> list[str]:
    """Queue again the flows whose worker is silent or gone; their ids in the engine. The engine fences the old worker
    off if it is alive after all: what it still does can't be recorded."""
    with database.territory_session(runtime.engine, _name(runtime)) as session:
        if not session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(TAKEOVER_LOCK))):
            return []
        # First the flows, then who lives: a worker that starts in between counts as living.
        pending = DBOS.list_workflows(status="PENDING", queue_name=flows.QUEUE, load_input=False, load_output=False)
        living = _living(session, runtime.settings.dead_after_seconds)
        stranded = [flow.workflow_id for flow in pending if flow.executor_id not in living]
        if stranded:
            DBOS.resume_workflows(stranded, queue_name=flows.QUEUE)
            log.warning("flows taken over", flows=stranded, worker=runtime.settings.worker_id)
        return stranded


def _living(session: Session, dead_after_seconds: float) -> set[str]:
    recent = Worker.seen_at > sa.func.now() - timedelta(seconds=dead_after_seconds)
    return set(session.scalars(sa.select(Worker.id).where(recent)))


def _leave(runtime: Runtime) -> None:
    """Stop taking flows and go at once: every step can be cut, and a restart must not wait for a long play."""
    log.info("worker stops", worker=runtime.settings.worker_id)
    DBOS.destroy(workflow_completion_timeout_sec=0)
    with database.territory_session(runtime.engine, _name(runtime)) as session:
        session.execute(sa.delete(Worker).where(Worker.id == runtime.settings.worker_id))
    os._exit(0)


def _name(runtime: Runtime) -> str:
    return f"worker {runtime.settings.worker_id}"
