"""`clocher serve`."""

from __future__ import annotations

import signal

import click

from api import serving
from orchestrator import log, settings


@click.command("serve", short_help="Run the portal and the API.")
@click.option("--host", help="Address to listen on; by default listen_host of the settings.")
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free one; by default listen_port of the settings.")
def command(host: str | None, port: int | None) -> None:
    """Run the portal and the API until stopped; prints the URL once it answers."""
    chosen = settings.load()
    log.configure(chosen)
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, serving.end)
    with serving.listening(chosen, host or chosen.listen_host, chosen.listen_port if port is None else port) as portal:
        click.echo(portal.url)
        portal.watch()
