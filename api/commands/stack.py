"""`clocher stack`."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from api.output import json_option, print_json, print_rows
from orchestrator import settings
from orchestrator.errors import InvalidInput, Text
from orchestrator.settings import ROOT
from tenants import accounting, stacks, stacks_checking, stacks_trial

EXAMPLE = ROOT / "playbooks" / "examples" / "hello"
SIGNS = {True: "bon", False: "NON", None: "—"}
folder_argument = click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))


@click.group("stack", short_help="Applications as folders: new, check, test.")
def command() -> None:
    """Applications: folders with stack.yml and plays. `clocher catalogue apply` offers them to members."""


@command.command()
@click.argument("slug")
@click.option("--into", type=click.Path(path_type=Path, exists=True, file_okay=False),
              default=ROOT / "playbooks" / "stacks", show_default=True, help="Folder of stacks.")  # fmt: skip
def new(slug: str, into: Path) -> None:
    """Begin a stack from the example: a page that greets, to be replaced part by part."""
    if not stacks.SLUG.fullmatch(slug) or (into / slug).exists():
        raise InvalidInput(
            "invalid_stack",
            Text("« {slug} » est déjà pris, ou n’a pas que a-z, 0-9 et des tirets.", slug=slug),
            "Choisissez un autre nom.",
        )
    made = Path(shutil.copytree(EXAMPLE, into / slug))
    word = slug.replace("-", "_")
    for path in [path for path in made.rglob("*") if path.is_file()]:
        path.write_text(path.read_text().replace("hello", word))
    (made / "roles" / "hello").rename(made / "roles" / word)
    click.echo(f"{made} est prêt. Ensuite : clocher stack check {made}, puis clocher stack test {made}")


@command.command()
@folder_argument
@json_option
@click.pass_context
def check(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Look at a stack: what it declares, the syntax of its plays, ansible-lint where it is installed."""
    chart = accounting.load(settings.load().territory_dir)
    found = stacks_checking.check(folder, chart, f"{datetime.now(UTC):%Y-%m}")
    print_rows(
        [{**asdict(one), "sign": SIGNS[one.good]} if not as_json else asdict(one) for one in found],
        [("what", "Quoi"), ("sign", "Bon"), ("said", "Détail")],
        as_json=as_json,
        empty="",
    )
    ctx.exit(int(any(one.good is False for one in found)))


@command.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...",
                type=click.Path(path_type=Path, exists=True, file_okay=False))  # fmt: skip
@json_option
@click.pass_context
def test(ctx: click.Context, folders: tuple[Path, ...], as_json: bool) -> None:
    """Live stacks' whole lives in guests of the cloud, which are gone afterwards.

    Installed twice, asked by name through an entry, given data and a new password, counted, backed up, destroyed,
    brought back, upgraded, handed out. Several stacks share the entry and the vault, and live at the same time. The
    cloud is that of CLOCHER_CLOUDS_FILE, by default the dev cloud: clocher devcloud up.
    """
    lived = stacks_trial.live(settings.load(), folders, lambda one: _tell(one, as_json))
    good = all(one.good for one in lived)
    if as_json:
        print_json({"ok": good, "stacks": [_life(lived, slug) for slug in dict.fromkeys(one.stack for one in lived)]})
    else:
        rows = [{**_rounded(one), "sign": SIGNS[one.good], "result": _brief(one.result)} for one in lived]
        columns = [("stack", "Pile"), ("part", "Partie"), ("sign", "Bon"), ("seconds", "s"), ("changed", "Changé"),
                   ("result", "Résultat")]  # fmt: skip
        print_rows(rows, columns, as_json=False, empty="")
    ctx.exit(int(not good))


def _life(lived: list[stacks_trial.Lived], slug: str) -> dict[str, object]:
    own = [one for one in lived if one.stack == slug]
    return {"stack": slug, "ok": all(one.good for one in own), "parts": [_rounded(one) for one in own]}


def _rounded(one: stacks_trial.Lived) -> dict[str, object]:
    return {**asdict(one), "seconds": round(one.seconds, 1)}


def _brief(result: dict[str, Any]) -> str:
    """On one line: certificates are long."""
    told = ", ".join(f"{name}: {value}" for name, value in result.items())
    return textwrap.shorten(told, 60, placeholder=" …")


def _tell(one: stacks_trial.Lived, as_json: bool) -> None:
    """Each part as it ends, beside what is printed at the end."""
    said = f" {one.said}" if one.said else ""
    click.echo(f"{one.stack}: {one.part}: {SIGNS[one.good]} ({one.seconds:.1f} s){said}", err=True)
