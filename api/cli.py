"""The command `clocher`: for the DSI, finance and operators. One module for each noun in `api/commands/`."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any, NoReturn

import click

from orchestrator.errors import ClocherError

# noun: what --help says. The module api/commands/<noun>.py is imported only when its noun is used.
COMMANDS = {
    "demo": "Run the main job from nothing: cloud, members, orders, statements.",
    "database": "Create or migrate the database.",
    "members": "The members: plan and apply what is declared.",
    "catalogue": "The offers: list, apply what is declared, draft, publish, withdraw.",
    "stack": "Applications as folders: new, check, test.",
    "prices": "The price book: list, apply, compare and adopt drafts.",
    "vat": "VAT: rates, legal texts, unit costs, and what is agreed with each member.",
    "keys": "The voted keys that share common costs: list, apply.",
    "orders": "Orders: place, list, approve, reject.",
    "services": "What members own: list, operate, change, delete.",
    "upgrades": "Planned upgrades and windows of maintenance: list, plan, cancel, postpone, window.",
    "drift": "Guests that differ from their play: list, check, repair.",
    "flows": "The runs of operations: list, watch, cancel, repair.",
    "costs": "What a month costs members, and what the platform really costs: entries, import, unit.",
    "energy": "Energy and carbon: a year's review, the factors.",
    "billing": "How members pay: list, set, pretitles, scdl.",
    "cycle": "The yearly cycle: tell, forecast, import, call, settle, annual.",
    "periods": "Billing months: draft, check, close.",
    "usage": "What was counted, and what the cloud says: status, compare, outside, verify…",
    "statements": "Members' accounts: list, show, export, verify.",
    "disputes": "What members object to: list, show, answer, settle, reject.",
    "accounts": "People: list, invite, give roles, close.",
    "tokens": "Keys to the API: make, list, revoke.",
    "webhooks": "Who is told of events: list, add, test, replay.",
    "mails": "What was mailed: list, retry.",
    "announcements": "What the DSI has to say: list, make, withdraw.",
    "capacity": "What the cloud has left, what members use, who works.",
    "entry": "The entry from the web: status.",
    "audit": "The audit trail: list, search, export, verify.",
    "worker": "Run the worker that executes flows.",
    "serve": "Run the portal and the API.",
    "bench": "Benchmarks that print a ratio measured in one run.",
}


# What works against another installation too, by its API: `clocher --url https://… NOUN`.
REMOTE = ("catalogue", "orders", "services", "flows", "statements", "disputes")

# Programs of their own, which the launcher starts.
BESIDE = {
    "test": "Run the tests (--fast: without the cloud).",
    "devcloud": "A real OpenStack on this machine: up, down, status, reset.",
}


class Nouns(click.Group):
    """Commands by noun, loaded when used, errors told in one form."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # Of one thing people say `service export`, of many `services list`: both are understood.
        cmd_name = next(
            (noun for noun in (cmd_name, f"{cmd_name}s", cmd_name.removesuffix("s")) if noun in COMMANDS), ""
        )
        if not cmd_name:
            return None
        if ctx is not None and ctx.params.get("url"):
            if cmd_name not in REMOTE:
                raise click.UsageError(f"{cmd_name} works here only; by --url: {', '.join(REMOTE)}.", ctx)
            far: click.Command = importlib.import_module(f"api.commands.remote.{cmd_name}").command
            return far
        command: click.Command = importlib.import_module(f"api.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list({**COMMANDS, **BESIDE}.items()))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            super().main(*args, **kwargs)
        except ClocherError as error:
            tell(error)
            sys.exit(error.exit_status)
        sys.exit(0)


def tell(error: ClocherError) -> None:
    """Print an error for a person, or as JSON when `--json` was asked for, with the detail that is the DSI's."""
    if "--json" in sys.argv:
        detail = {"detail": error.detail} if error.detail else {}
        body = {"code": error.code, "sentence": error.sentence, "action": error.action, **detail, **error.facts}
        click.echo(json.dumps({"error": body}, ensure_ascii=False), err=True)
    else:
        click.echo(f"{error.sentence} {error.action}".strip() + f"  [{error.code}]", err=True)
        if error.detail:
            click.echo(f"  {error.detail}", err=True)


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name=None, version="0.1.0", prog_name="clocher")
@click.option("--url", envvar="CLOCHER_URL", help="Another installation, spoken to by its API.")
def main(url: str | None) -> None:
    """Clocher, the shared cloud of an agglomeration's communes.

    With --url (or CLOCHER_URL) catalogue, orders, services, flows, statements and disputes work from any machine, by
    the API of the installation there. The token is read from CLOCHER_TOKEN, or from the file ~/.config/clocher/token
    (CLOCHER_TOKEN_FILE names another), which nobody else may read: mode 0600. It is never an argument, where ps
    would show it.
    """


if __name__ == "__main__":
    main()
