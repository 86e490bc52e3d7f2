"""The question before something that can't be taken back, in French as all that the terminal says; `--yes` skips it."""

from __future__ import annotations

import click

YES = ("o", "oui", "y", "yes")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str) -> None:
    """Ask on stderr, and come back only after a yes; whatever else is answered ends the command, with status 1."""
    try:
        answer = click.prompt(f"{question} [o/N]", default="n", show_default=False, prompt_suffix=" ", err=True)
    except click.Abort:  # nobody is there, or somebody pressed Ctrl-C
        answer = "n"
    if answer.strip().lower() not in YES:
        click.echo("Rien n’a été fait.", err=True)
        raise click.exceptions.Exit(1)
