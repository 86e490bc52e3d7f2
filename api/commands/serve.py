"""`clocher serve`."""

from __future__ import annotations

import gc
import sys

import click
from waitress import create_server
from waitress.server import BaseWSGIServer

from api.app import create
from orchestrator import log, settings
from orchestrator.errors import Conflict
from orchestrator.settings import Settings

THREADS = 8  # each holds at most one database connection of each role
# Seconds until a thread that computes makes way for one whose query was answered. Python's own 5 ms are waited after
# each query of a page while another page is made: twenty queries are a tenth of a second.
SWITCH = 0.0005


@click.command("serve", short_help="Run the portal and the API.")
@click.option("--host", help="Address to listen on; by default listen_host of the settings.")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free one; by default listen_port of the settings.")
def command(host: str | None, port: int | None) -> None:
    """Run the portal and the API until stopped; prints the URL once it listens."""
    chosen = settings.load()
    log.configure(chosen)
    host, port = host or chosen.listen_host, chosen.listen_port if port is None else port
    server = listen(chosen, host, port)
    click.echo(f"http://{server.effective_host}:{server.effective_port}/")
    server.run()


def listen(chosen: Settings, host: str, port: int) -> BaseWSGIServer:
    """The portal and the API, listening; `run` serves. Raises cannot_listen."""
    sys.setswitchinterval(SWITCH)
    try:
        server: BaseWSGIServer = create_server(create(chosen), host=host, port=port, threads=THREADS, ident="clocher")
    except OSError as error:
        raise Conflict(
            "cannot_listen", f"Impossible d’écouter sur {host}:{port} ({error.strerror}).", "Choisissez un autre port."
        ) from error
    # What the portal is made of stays: looking for garbage in it would halt every page for a tenth of a second.
    gc.collect()
    gc.freeze()
    return server
