"""`clocher bench`: measurements that compare with something in the same run, so that they hold on any machine."""

from __future__ import annotations

from typing import Any

import click

from api.output import json_option, print_json
from orchestrator import log, settings


@click.group("bench", short_help="Benchmarks that print a ratio measured in one run.")
def command() -> None:
    """Measure this installation."""


@command.command()
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Orders of each side.")
@json_option
def order(rounds: int, as_json: bool) -> None:
    """Order → active, against bare openstacksdk. The same calls, without Ansible."""
    from tenants import bench_order

    chosen = settings.load()
    log.configure(chosen)
    result = bench_order.run(chosen, rounds)
    _tell(
        result,
        as_json,
        f"commande → active : {_seconds(result['ours_median'])} (médiane de {rounds})",
        f"openstacksdk seul : {_seconds(result['bare_median'])}",
        f"rapport           : {result['ratio']:.2f}".replace(".", ","),
    )


@command.command()
@click.option("--servers", type=click.IntRange(1, 100_000), default=10_000, show_default=True, help="How many servers.")
@click.option("--members", type=click.IntRange(1, 5_000), default=40, show_default=True, help="How many members.")
@click.option("--scale", is_flag=True, help="×1, ×4, ×16 of hours, then of changes; ×16: as asked.")
@json_option
def month(servers: int, members: int, scale: bool, as_json: bool) -> None:
    """A whole month of events → statements. Drafted, checked, closed."""
    from tenants import bench_month

    chosen = settings.load()
    log.configure(chosen)
    if scale:
        found = bench_month.scale(chosen, servers, members)
        words = {"hours": "durée", "changes": "changements"}
        _tell(found, as_json, *(
            f"{words[what]} ×{run['times']:<2} : {run['changes']:>9} changements, {_seconds(run['seconds'])},"
            f" processeur {_seconds(run['cpu'] or 0)}"
            for what, runs in found.items() for run in runs
        ))  # fmt: skip
        return
    result = bench_month.run(chosen, servers, members)
    _tell(
        result,
        as_json,
        f"{servers} serveurs, {members} membres, un mois : {_seconds(result['seconds'])}",
        f"établir {_seconds(result['draft'])}, contrôler {_seconds(result['check'])},"
        f" clore {_seconds(result['close'])} ; processeur {_seconds(result['cpu'] or 0)}",
        f"{result['ratio']:.1f} fois l’écriture d’autant de lignes sans rien promettre".replace(".", ","),
        f"mémoire : {result['peak_mib']:.0f} Mio, PostgreSQL {result['backend_peak_mib'] or 0:.0f} Mio ;"
        f" lignes : {result['rows']}",
    )


@command.command()
@click.option("--servers", type=click.IntRange(1, 500_000), default=10_000, show_default=True, help="How many servers.")
@click.option("--hours", type=click.IntRange(1, 100_000), default=720, show_default=True, help="How long they exist.")
@json_option
def rating(servers: int, hours: int, as_json: bool) -> None:
    """Usage intervals → priced lines. With a total that can be checked by hand."""
    from tenants import bench_rating

    chosen = settings.load()
    log.configure(chosen)
    result = bench_rating.run(chosen, servers, hours)
    _tell(
        result,
        as_json,
        f"{servers} serveurs pendant {hours} h : {_seconds(result['seconds'])}",
        f"total : {result['total'].replace('.', ',')} € en {result['lines']} lignes",
    )


@command.command()
@click.option("--members", type=click.IntRange(1, 5_000), default=300, show_default=True, help="How many members.")
@click.option("--services", type=click.IntRange(100, 500_000), default=20_000, show_default=True, help="All members’.")
@click.option("--rate", type=click.FloatRange(0.1, 1_000), default=20, show_default=True, help="Requests a second.")
@click.option("--seconds", type=click.FloatRange(1, 3_600), default=40, show_default=True, help="How long, twice.")
@json_option
def pages(members: int, services: int, rate: float, seconds: float, as_json: bool) -> None:
    """The portal’s pages under a constant rate. In a scratch database."""
    from api import bench_pages

    chosen = settings.load()
    log.configure(chosen)
    result = bench_pages.run(chosen, members, services, rate, seconds)
    promised = result["promised_ms"]
    columns = ("p50_ms", "p95_ms", "max_ms", "cpu_ms", "queries")
    _tell(
        result,
        as_json,
        f"{members} membres, {services} services, {rate:g} requêtes/s pendant {seconds:g} s ;"
        f" base remplie en {_seconds(result['fill_seconds'])} ; réponses en échec : {result['failed']}",
        f"{'page':<14}" + "".join(f"{name:>9}" for name in columns) + "   promis",
        *(
            f"{page:<14}" + "".join(f"{result[name][page]:>9}".replace(".", ",") for name in columns)
            + (f"   p95 < {promised[page]:.0f}" if page in promised else "")
            for page in result["queries"]
        ),
        f"processeur du portail par requête : {result['portal_cpu_ms']:.1f} ms ;"
        f" charge de la machine : {result['load']:.1f} pour {result['cores']} cœurs ;"
        f" seule, elle met {result['machine_p95']:.1f} fois le meilleur temps une fois sur vingt".replace(".", ","),
        "promesses tenues" if result["kept"] else "promesses non tenues",
    )  # fmt: skip


def _seconds(value: float) -> str:
    return f"{value:.2f} s".replace(".", ",")


def _tell(result: dict[str, Any], as_json: bool, *lines: str) -> None:
    if as_json:
        print_json(result)
    else:
        click.echo("\n".join(lines))
