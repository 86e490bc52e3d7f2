"""The processes of the portal: they share one socket, and the one that dies is replaced.

Python runs one thread of a process at a time. With two processes, two pages are made at once, and none waits for the
other's search for garbage.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import structlog
from waitress import create_server

from orchestrator import log
from orchestrator.errors import Conflict, Text, Unavailable
from orchestrator.settings import Settings

THREADS = 6  # of a process; each holds at most one database connection of each role
# Seconds until a thread that computes makes way for one whose query was answered. Python's own 5 ms are waited after
# each query of a page while another page is made: twenty queries are a tenth of a second.
SWITCH = 0.0005
# Objects until garbage is looked for, among the new ones, the survivors of ten times, all. A page leaves hundreds of
# them in circles, few that live: Python's own 700, 10, 10 look through all every fifty pages, for as long as a page.
GARBAGE = (5_000, 10, 200)
PATIENCE = 60.0  # seconds until a process must be ready, and until one must be gone
spawn = get_context("spawn")
structlogger = structlog.get_logger(__name__)


@dataclass
class Portal:
    """Where it listens, and the processes that answer there."""

    settings: Settings
    listener: socket.socket
    counts: Path
    processes: list[SpawnProcess] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of its home page."""
        host, port, *_ = self.listener.getsockname()
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def watch(self) -> None:
        """Replace each process that dies, for ever."""
        while True:
            connection.wait([process.sentinel for process in self.processes])
            for dead in [process for process in self.processes if not process.is_alive()]:
                structlogger.error("portal process died", pid=dead.pid, exit_code=dead.exitcode)
                self.processes.remove(dead)
                self._start(1)

    def _start(self, number: int) -> None:
        """Start so many processes and wait until they answer. Raises portal_unavailable."""
        ears: list[Connection] = []
        for _ in range(number):
            ear, mouth = spawn.Pipe(duplex=False)
            process = spawn.Process(target=_answer, args=(self.settings, self.listener, self.counts, mouth))
            process.start()
            mouth.close()  # ours: when the process dies, its end is closed, and we hear it
            self.processes.append(process)
            ears.append(ear)
        for ear in ears:
            with ear:
                if not ear.poll(PATIENCE) or not _hears(ear):
                    raise Unavailable("portal_unavailable", "Le portail ne démarre pas.", "Lisez ce qui précède.")

    def _end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(PATIENCE)
            process.kill()


@contextmanager
def listening(settings: Settings, host: str, port: int) -> Iterator[Portal]:
    """The portal and the API, answering as long as the block lasts; port 0: any free one. Raises cannot_listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise Conflict(
            "cannot_listen",
            Text("Impossible d’écouter sur {host}:{port} ({why}).", host=host, port=port, why=error.strerror or error),
            "Choisissez un autre port.",
        ) from error
    with listener, tempfile.TemporaryDirectory(prefix="clocher-portal-") as counts:
        portal = Portal(settings, listener, Path(counts))
        try:
            portal._start(settings.portal_processes)
            yield portal
        finally:
            portal._end()


def end(number: int, _frame: object) -> None:
    """What a signal does that ends a process: once, so that what is tidied at the end is not cut by a second one."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def _hears(ear: Connection) -> bool:
    try:
        return bool(ear.recv())
    except EOFError:
        return False


def _answer(settings: Settings, listener: socket.socket, counts: Path, ready: Connection) -> None:
    """One process: answers until it is told to end, or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the parent tells us
    signal.signal(signal.SIGTERM, end)  # what was begun is answered first
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log.configure(settings)
    # Read when prometheus_client is first imported, which is below.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counts)
    from api.app import create

    sys.setswitchinterval(SWITCH)
    server = create_server(create(settings, counts=counts), sockets=[listener], threads=THREADS, ident="clocher")
    # What the portal is made of stays: to look for garbage in it would halt every page for a tenth of a second.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    ready.send(True)
    ready.close()
    server.run()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
