"""A yearly statement (état annuel) as a file: CSV, JSON, or on paper, as `api/papers/annual.typ` wants it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from api import formats, statement_pdf, typesetting
from api.statement_pdf import Reader
from api.translations import SOURCE
from orchestrator.settings import Settings
from tenants import accounting, cycle_files
from tenants.statements import Document


def one(document: Document, kind: str, settings: Settings, read_in: str) -> bytes:
    """The file. Of a sealed one always the same, as long as the installation looks the same."""
    if kind == "pdf":
        return paper(document, settings, read_in)
    return cycle_files.annual_json(document) if kind == "json" else cycle_files.annual_csv([document])


def paper(document: Document, settings: Settings, read_in: str) -> bytes:
    """The PDF (PDF/UA), in the reader's language."""
    reader = Reader(read_in, ZoneInfo(settings.timezone))
    shown = {**statement_pdf.frame(settings, reader), **_head(document, reader), "told": _told(document, reader)}
    shown |= {"tables": [table for table in (_uses(document, reader), _months(document, reader),
                                             _calls(document, reader)) if table["rows"]]}  # fmt: skip
    shown |= {"sums": _sums(document, reader), "notes": _notes(document, settings, reader)}
    shown["seal"] = statement_pdf.seal(document, reader)
    made = datetime.fromisoformat(document["dated"]).replace(tzinfo=UTC)
    return typesetting.pdf("annual", shown, made)


def _head(document: Document, reader: Reader) -> dict[str, Any]:
    _, member = reader.gettext, document["member"]
    title = _("État annuel %(year)s", year=document["year"])
    figures = ((_("Coût réel"), "total"), (_("Appelé"), "called"), (_("Retenu"), "withheld"),
               (_("Régularisation"), "amount"))  # fmt: skip
    return {
        "title": title, "footer": f"{title} · {member['name']}",
        "mentions": statement_pdf.mentions(document, reader),
        "member": {"name": member["name"], "facts": [("SIRET", member["siret"]), ("SIREN", member["siren"])]},
        "facts": [(_("Référence"), document["reference"]), (_("Établi le"), _day(document["dated"], reader)),
                  (_("Unité"), _local(document["unit"], reader))],
        "figures": [(label, reader.amount(document[name])) for label, name in figures],
    }  # fmt: skip


def _local(text: Mapping[Any, str], reader: Reader) -> str:
    return text.get(reader.language) or text.get(SOURCE, "")


def _day(day: str, reader: Reader) -> str:
    return formats.day(date.fromisoformat(day), reader.language, reader.zone)


def _price(euros: str, reader: Reader) -> str:
    return formats.price(Decimal(euros), reader.language)


def _told(document: Document, reader: Reader) -> dict[str, Any]:
    """The unit costs: as told for the year, as it really was, as told for the next."""
    _, rows = reader.gettext, []
    for terms in (document["terms"], document["next"]):
        if terms:
            label = _("Communiqué pour %(year)s", year=terms["year"])
            rows.append((label, _("le %(day)s", day=_day(terms["told_on"], reader)),
                         _price(terms["unit_cost"], reader)))  # fmt: skip
    if document["observed"]:
        rows.insert(1, (_("Constaté en %(year)s", year=document["year"]), "", _price(document["observed"], reader)))
    return {"title": _("Coût unitaire de fonctionnement"), "heads": (_("Coût unitaire"), _("Date"), _("Par unité")),
            "rows": rows, "none": _("Aucun coût unitaire n’est communiqué.")}  # fmt: skip


def _uses(document: Document, reader: Reader) -> dict[str, Any]:
    _ = reader.gettext
    rows = [
        (_local(use["title"] or {}, reader) or use["offer"] or _("Sans offre"), reader.word(use["meter"], "meter"),
         reader.exact(Decimal(use["hours"]), 2), reader.exact(Decimal(use["units"]), 2))
        for use in document["uses"]
    ]  # fmt: skip
    return {"title": _("Utilisations converties en unités"), "left": 2, "rows": rows,
            "heads": (_("Offre"), _("Mesure"), _("Quantité × heures"), _("Unités")),
            "total": (_("Total"), reader.exact(Decimal(document["units"]), 2))}  # fmt: skip


def _months(document: Document, reader: Reader) -> dict[str, Any]:
    _ = reader.gettext
    rows = [
        (formats.month(one["period"], reader.language), reader.word(one["mode"], "billing"),
         reader.exact(Decimal(one["units"]), 2), reader.amount(one["withheld"]), reader.amount(one["payable"]))
        for one in document["months"]
    ]  # fmt: skip
    total = sum((Decimal(one["payable"]) for one in document["months"]), Decimal("0.00"))
    return {"title": _("Relevés de l’année"), "left": 2, "rows": rows, "total": (_("Total"), reader.amount(total)),
            "heads": (_("Mois"), _("Paiement"), _("Unités"), _("Retenu"), _("Net à payer"))}  # fmt: skip


def _calls(document: Document, reader: Reader) -> dict[str, Any]:
    _ = reader.gettext
    rows = [(one["reference"], _asked(one, reader), _day(one["dated"], reader), reader.amount(one["amount"]))
            for one in document["calls"]]  # fmt: skip
    return {"title": _("Appels de fonds"), "left": 3, "rows": rows,
            "heads": (_("Référence"), _("Mois"), _("Émis le"), _("Montant")),
            "total": (_("Total"), reader.amount(document["called"]))}  # fmt: skip


def _asked(call: Document, reader: Reader) -> str:
    """The month in which a call is due; from which one on it asks, where that is an earlier one."""
    month, since = formats.month(call["period"], reader.language), call.get("since") or call["period"]
    if since == call["period"]:
        return month
    return f"{month} ({reader.gettext('depuis %(month)s', month=formats.month(since, reader.language))})"


def _sums(document: Document, reader: Reader) -> dict[str, Any]:
    """owed less what was called and withheld is the settlement."""
    _ = reader.gettext
    called, withheld = (-Decimal(document[name]) for name in ("called", "withheld"))
    lines = [(_("Dû par les mois à régulariser"), reader.amount(document["owed"])),
             (_("Appelé"), reader.amount(called)),
             (_("Retenu sur l’attribution de compensation"), reader.amount(withheld))]  # fmt: skip
    return {"title": _("Régularisation"), "heads": (_("Poste"), _("Montant")), "lines": lines,
            "total": (_("Régularisation"), reader.amount(document["amount"]))}  # fmt: skip


def _notes(document: Document, settings: Settings, reader: Reader) -> list[str]:
    _ = reader.gettext
    notes = []
    if document["at_unit_cost"] is not None:
        told = _(
            "Au coût communiqué, ces unités valent %(amount)s ; c’est le coût réel des relevés qui est régularisé.",
            amount=reader.amount(document["at_unit_cost"]),
        )
        notes.append(told)
    if Decimal(document["settled"]["calls"]) < 0:
        said = accounting.load(settings.territory_dir).text("reduction", document["period"])
        notes.append(_local(said.text, reader) if said else "")
    return [note for note in notes if note]
