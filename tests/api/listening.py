"""An app served as in production while a block lasts, and left without a socket or a thread open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from waitress import create_server, wasyncore


@contextmanager
def listening(app: Any, *, threads: int = 4, **more: int) -> Iterator[str]:
    """The address at which `app` answers. more: for waitress."""
    server = create_server(app, host="127.0.0.1", port=0, threads=threads, **more)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            wasyncore.loop(timeout=1, count=1, map=server._map)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        stop.set()
        server.trigger.pull_trigger()
        thread.join(10)
        assert not thread.is_alive()
        server.task_dispatcher.shutdown()
        wasyncore.close_all(server._map)
