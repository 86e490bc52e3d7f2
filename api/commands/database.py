"""`clocher database`."""

from __future__ import annotations

import click

from orchestrator import postgres, schema, settings


@click.group("database", short_help="Create or migrate the database.")
def command() -> None:
    """The database: the embedded PostgreSQL, or the server of CLOCHER_DATABASE_URL."""


@command.command()
def upgrade() -> None:
    """Bring the schema to the newest version. Starts the embedded server if need be."""
    schema.upgrade(settings.load())
    click.echo("La base de données est à jour.")


@command.command()
def stop() -> None:
    """Stop the embedded server."""
    postgres.stop(settings.load().state_dir / "postgres")
    click.echo("La base de données embarquée est arrêtée.")
