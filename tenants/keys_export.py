"""A simulated key for a spreadsheet (UTF-8 with BOM, `;`, decimal comma, CRLF) and for programs."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from tenants.exports import SAMPLE, safe
from tenants.keys_simulation import Payer, Simulation

FILE = "simulation-cle.csv"
CRITERIA = {"population": "population", "usage": "consommations", "vcpu": "processeurs", "equal": "parts égales"}
COLUMNS = (
    "Mention", "Clé simulée", "Coûts communs", "Premier mois", "Dernier mois", "Membre", "SIREN", "Mois comptés",
    "Réparti (EUR)", "Simulé (EUR)", "Écart (EUR)", "Écart (%)",
)  # fmt: skip


def as_csv(found: Simulation) -> bytes:
    """A row for each member, then one with the total; each says which key, costs and months it is about."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS)
    months = found.base.months
    key = " + ".join(f"{CRITERIA[criterion]} {_comma(weight)}" for criterion, weight in found.proposal.weights.items())
    mention = ["SIMULATION", *[SAMPLE] * months[0].sample]
    about = [" ; ".join(mention), key, ", ".join(pool.code for pool in found.base.pools)]
    about += [months[0].label, months[-1].label]
    for one in (*found.members, _total(found)):
        amounts = [one.before, one.after, one.difference, one.percent]
        figures = ["" if value is None else _comma(value) for value in amounts]
        writer.writerow([*about, safe(one.name), one.siren, len(one.months), *figures])
    return text.getvalue().encode("utf-8-sig")


def document(found: Simulation) -> dict[str, Any]:
    """The same for programs: weights, months, costs, members and their sum; decimals and words in both languages."""
    months = [
        {"period": period.label, "state": period.state, "sample": period.sample, "metered_until": period.metered_until}
        for period in found.base.months
    ]
    return {
        "weights": found.proposal.weights,
        "months": months,
        "missing": found.base.missing,
        "pools": [asdict(pool) for pool in found.base.pools],
        "members": [{**asdict(one), "difference": one.difference, "percent": one.percent} for one in found.members],
        "before": found.before,
        "after": found.after,
    }


def _total(found: Simulation) -> Payer:
    months = tuple(period.label for period in found.base.months)
    return Payer("", "Total", "", "", months, found.before, found.after)


def _comma(value: Decimal) -> str:
    return f"{value:f}".replace(".", ",")
