"""A statement on paper, in the language of who reads it: what it shows, as `api/papers/statement.typ` wants it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from api import formats, language, typesetting
from api.look import Look
from api.statement_facturx import Face
from api.translations import SOURCE, catalogue
from orchestrator.settings import Settings
from tenants import energy

STATIC = Path(__file__).parent / "static"
REGIONS = {"fr": "FR", "en": "GB"}
MOST = 1000  # lines that anybody reads on paper; of more the sums are shown, and the tables have all
SUMMED = {"unit_seconds", "amount"}
Year = list[tuple[str, Decimal | None]]
Line = dict[str, Any]


@dataclass(frozen=True)
class Reader:
    """In which language and by which clock it is read."""

    language: str
    zone: ZoneInfo

    def gettext(self, text: str, /, **values: Any) -> str:
        """A sentence of ours."""
        return catalogue(self.language).gettext(text) % values

    def word(self, code: str, table: str) -> str:
        """A code of ours."""
        return language.word(code, table, self.language)

    def typed(self, text: str) -> str | dict[str, str]:
        """What people here wrote, in French."""
        return text if self.language == SOURCE else {"lang": SOURCE, "text": text}

    def amount(self, euros: str | Decimal | None) -> str:
        """1 234,56 €"""
        return formats.amount(None if euros is None else Decimal(euros), self.language)

    def exact(self, value: Decimal, places: int, unit: str = "") -> str:
        """A figure with so many decimals, of € or %."""
        return formats.decimals(value, places, self.language, unit)

    def day(self, instant: str, *, last: bool = False) -> str:
        """The day of an instant; of a month's end, the day before."""
        at = datetime.fromisoformat(instant) - timedelta(microseconds=last)
        return formats.day(at, self.language, self.zone)


def paper(
    document: dict[str, Any],
    year: Year,
    settings: Settings,
    read_in: str,
    *,
    invoice: tuple[Face, bytes] | None = None,
) -> bytes:
    """The PDF; of a closed statement always the same, as long as the installation looks the same.

    invoice: what makes it a Factur-X (PDF/A-3): what an invoice says more, and the same in XML, which it carries.
    """
    reader = Reader(read_in, ZoneInfo(settings.timezone))
    shown = {**frame(settings, reader), **_head(document, reader), **_lines(document, reader)}
    shown |= {
        "energy": _energy(document, reader),
        "availability": _availability(document, reader),
        "year": _year(year, reader),
        "seal": seal(document, reader),
        "vat": _vat(document, reader),
    }
    if invoice:
        shown |= _invoice(document, invoice[0], shown, reader)
    made = datetime.fromisoformat(document["metered_until"] or document["from"])
    return typesetting.pdf("statement", shown, made, carried=invoice[1] if invoice else None)


def frame(settings: Settings, reader: Reader) -> dict[str, Any]:
    """What every paper begins with."""
    look = Look(settings)
    return {
        "lang": reader.language,
        "region": REGIONS[reader.language],
        "territory": look.name,
        "contact": [" · ".join(filter(None, (look.email, look.phone)))],
        "logo": list((settings.logo or STATIC / "clocher.svg").read_bytes()),
        "colours": {"primary": settings.primary_colour, "accent": settings.accent_colour},
        "page": reader.gettext("Page"),
        "total": reader.gettext("Total"),
    }


def _head(document: dict[str, Any], reader: Reader) -> dict[str, Any]:
    _, member = reader.gettext, document["member"]
    days = _(
        "du %(first)s au %(last)s", first=reader.day(document["from"]), last=reader.day(document["until"], last=True)
    )
    facts = [(_("Période"), days)]
    if document["metered_until"] and document["metered_until"] != document["until"]:
        facts.append((_("Mesuré jusqu’au"), reader.day(document["metered_until"])))
    if "billing" in document:
        facts.append((_("Paiement"), reader.word(document["billing"]["mode"], "billing")))
    figures = (
        (_("Consommations"), "usage"), (_("Part des coûts communs"), "shares"), (_("Rectifications"), "adjustments"),
        (_("Total"), "total"),
    )  # fmt: skip
    title = _("Relevé %(of_month)s", of_month=formats.of_month(document["period"], reader.language))
    return {
        "title": title,
        "footer": f"{title} · {member['name']}",
        "mentions": mentions(document, reader),
        "member": {"name": member["name"], "facts": [("SIRET", member["siret"]), ("SIREN", member["siren"])]},
        "facts": facts,
        "figures": [(label, reader.amount(document[name])) for label, name in figures if name in document],
    }


def _invoice(document: dict[str, Any], face: Face, shown: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """What an invoice has otherwise: its number and day, who issues it, who pays, when."""
    _ = reader.gettext
    number = face.number
    kind = _("Avoir n° %(number)s", number=number) if face.credit else _("Facture n° %(number)s", number=number)
    facts = [(_("Date d’émission"), formats.day(face.day, reader.language))]
    if face.before:
        before, day = face.before[0], formats.day(face.before[1], reader.language)
        facts.append((_("Sur la facture"), _("n° %(number)s du %(day)s", number=before, day=day)))
    nature = (_("Nature de l’opération"), _("prestation de services"))
    when = (_("Règlement"), _local(face.terms, reader))
    law = [document["vat"]["mention"], *(text for code, text in document.get("terms", {}).items() if code != "terms")]
    seller, buyer = _party(face.seller, reader), _party(face.buyer, reader)
    of_seller = " · ".join(f"{label} {value}".strip() for label, value in seller)
    return {
        "title": kind,
        "footer": f"{kind} · {shown['title']} · {document['member']['name']}",
        "contact": [_("Émetteur : %(name)s", name=face.seller["name"]), of_seller, *shown["contact"]],
        "member": {"name": face.buyer["name"], "facts": buyer},
        "facts": [*facts, *shown["facts"], nature, when],
        "figures": shown["vat"]["lines"],
        "vat": {**shown["vat"], "mentions": [_local(text, reader) for text in law]},
    }


def _local(text: dict[str, str], reader: Reader) -> str:
    return text.get(reader.language) or text.get(SOURCE, "")


def _party(who: dict[str, Any], reader: Reader) -> list[tuple[str, str]]:
    """Where somebody is, and by which numbers it is known."""
    town = " ".join(filter(None, (who["postcode"], who["city"])))
    found = [("", ", ".join(filter(None, (who["street"], town)))), ("SIREN", who["siren"]), ("SIRET", who["siret"]),
             (reader.gettext("N° TVA"), who["vat_number"])]  # fmt: skip
    return [(label, value) for label, value in found if value]


def mentions(document: dict[str, Any], reader: Reader) -> list[str]:
    """As `tenants.exports.mention` says them."""
    said = [reader.gettext("EXEMPLE, sans valeur comptable")] * document["sample"]
    return said + [reader.gettext("PROJET, peut encore changer")] * (document["state"] != "closed")


def _lines(document: dict[str, Any], reader: Reader) -> dict[str, Any]:
    _ = reader.gettext
    used = [line for line in document["lines"] if line["kind"] in ("usage", "fee", "minimum")]
    shared = [line for line in document["lines"] if line["kind"] == "share"]
    groups, note = _groups(used, reader)
    heads = (_("Service"), _("Tarif"), _("Unités × heures"), _("Prix par heure"), _("Montant"))
    usage = {"title": _("Ce qui a servi"), "none": _("Aucune consommation ce mois-ci."), "heads": heads,
             "groups": groups, "total": reader.amount(document["usage"]), "note": note}  # fmt: skip
    columns = (_("Coût"), _("Clé"), _("Coût réparti"), _("Part"), _("Quote-part exacte"), _("Arrondi"), _("Montant"))
    told = _("Chaque coût est réparti au centime près : les centimes qui restent vont aux plus grandes fractions.")
    shares = {"title": _("Part des coûts communs"), "none": _("Aucune quote-part ce mois-ci."), "heads": columns,
              "lines": [_share(line, reader) for line in shared], "total": reader.amount(document["shares"]),
              "note": told}  # fmt: skip
    return {"usage": usage, "shares": shares, "adjustments": _adjustments(document, reader)}


def _adjustments(document: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """What corrects closed months, the oldest first: only the sums by month where the lines are too many to read."""
    _ = reader.gettext
    lines = [line for line in document["lines"] if "corrects" in line]
    months = [(month, list(held)) for month, held in groupby(lines, key=lambda line: line["corrects"])]
    shown = lines if len(lines) <= MOST else []
    groups = [
        _group(formats.month(month, reader.language), held,
               [_adjustment(line, reader) for line in held if shown], reader)
        for month, held in months
    ]  # fmt: skip
    note = _(
        "Ce qui a été connu après la clôture d’un mois : la différence, au prix d’alors."
        " Les parts de coûts communs déjà closes ne changent pas."
    )
    heads = (_("Mois rectifié"), _("Tarif"), _("Unités × heures"), _("Prix par heure"), _("Montant"))
    return {"title": _("Rectifications de mois clos"), "heads": heads, "groups": groups, "note": note,
            "total": reader.amount(document.get("adjustments"))}  # fmt: skip


def _adjustment(line: Line, reader: Reader) -> tuple[Any, ...]:
    place = line["corrects_position"]
    if line["kind"] == "settlement":
        told = reader.gettext("contestation n° %(number)s, ligne %(place)s", number=line["dispute"], place=place)
        return told, reader.typed(line["label"]), "", "", reader.amount(line["amount"])
    named = reader.gettext("ligne %(place)s", place=place) if place else reader.gettext("ligne nouvelle")
    what, *rest = _usage(line, reader)
    why = f" · {reader.gettext(line['why'])}" if "why" in line else ""
    return f"{language.served(line['service'], reader.language)} · {what} · {named}{why}", *rest


def _groups(lines: list[Line], reader: Reader) -> tuple[list[dict[str, Any]], str]:
    """The lines service by service; of too many only the sums, by service or, of too many again, by meter."""
    names = [(name, list(held)) for name, held in groupby(lines, key=lambda line: line["service"])]
    services = [(language.served(name, reader.language), held) for name, held in names]
    if len(lines) <= MOST:
        return [_group(name, held, [_usage(line, reader) for line in held], reader) for name, held in services], ""
    note = reader.gettext("Le détail des %(count)s lignes est dans les fichiers XLSX, CSV et JSON de ce relevé.",
                          count=formats.number(len(lines), reader.language))  # fmt: skip
    if len(services) <= MOST:
        return [_group(name, held, [], reader) for name, held in services], note
    every = reader.gettext("%(count)s services", count=formats.number(len(services), reader.language))
    return [_group(every, lines, [_usage(line, reader) for line in _merged(lines)], reader)], note


def _group(name: str, lines: list[Line], shown: list[tuple[Any, ...]], reader: Reader) -> dict[str, Any]:
    total = sum((Decimal(line["amount"]) for line in lines), Decimal("0.00"))
    return {"name": name, "total": reader.amount(total), "lines": shown}


def _merged(lines: list[Line]) -> list[Line]:
    """The lines of one meter at one price as one."""
    found: dict[tuple[str | None, ...], Line] = {}
    for line in lines:
        whole = found.setdefault(
            (line["meter"], line.get("hourly"), line["book"]), {**line, **dict.fromkeys(SUMMED & line.keys(), 0)}
        )
        whole |= {name: Decimal(whole[name]) + Decimal(line[name]) for name in SUMMED & line.keys()}
    return list(found.values())


def _usage(line: Line, reader: Reader) -> tuple[Any, ...]:
    what = f"{language.metered(line, reader.language)} ({reader.word(line['unit'], 'unit')})"
    if "unit_seconds" not in line:
        return what, reader.typed(line["book"]), "", "", reader.amount(line["amount"])
    hours = Decimal(line["unit_seconds"]) / 3600
    hourly = formats.price(Decimal(line["hourly"]), reader.language)
    return what, reader.typed(line["book"]), reader.exact(hours, 2), hourly, reader.amount(line["amount"])


def _share(line: Line, reader: Reader) -> tuple[Any, ...]:
    whole, exact, amount = (Decimal(line[name]) for name in ("pool_amount", "share", "amount"))
    part = reader.exact(exact / whole, 4, "%") if whole else formats.NOTHING
    key, vote = f"{line['key']} v{line['key_version']}", reader.typed(line["deliberation"])
    figures = [reader.amount(whole), reader.exact(exact, 6, "€"), reader.exact(amount - exact, 6, "€")]
    return (reader.typed(line["label"]), reader.word(line["section"], "section"), figures[0], key, vote, part,
            *figures[1:], reader.amount(amount))  # fmt: skip


def _year(year: Year, reader: Reader) -> dict[str, Any]:
    """months: name, length of its bar in thousandths of the longest, total."""
    _ = reader.gettext
    most = max([abs(total) for _label, total in year if total], default=Decimal(1))
    months = [
        (formats.month(label, reader.language), int(abs(total or Decimal(0)) / most * 1000), reader.amount(total))
        for label, total in year
    ]
    note = _("Les mois clos avant ce relevé, et lui-même.")
    heads = (_("Mois"), _("Évolution"), _("Total"))
    return {"title": _("Les douze derniers mois"), "heads": heads, "months": months, "note": note}


def _vat(document: dict[str, Any], reader: Reader) -> dict[str, Any] | None:
    """VAT, what is to be paid and the words of the law; None where VAT was not looked at."""
    _, vat = reader.gettext, document.get("vat")
    if not vat:
        return None
    lines = [(_("Total hors taxe"), reader.amount(document["total"]))]
    if vat["rate"]:
        lines.append((_("TVA %(rate)s %%", rate=formats.number(Decimal(vat["rate"]), reader.language)),
                      reader.amount(vat["amount"])))  # fmt: skip
    lines.append((_("Net à payer"), reader.amount(document["payable"])))
    said = [vat["mention"]] + [text for text in document.get("terms", {}).values() if vat["rate"]]
    mentions = [_local(text, reader) for text in said]
    return {"title": _("TVA et net à payer"), "heads": (_("Poste"), _("Montant")), "lines": lines, "mentions": mentions,
            "references": _references(document, reader)}  # fmt: skip


def _availability(document: dict[str, Any], reader: Reader) -> dict[str, Any] | None:
    """How often each application answered; None where there is none with an address."""
    _, rows = reader.gettext, document.get("availability")
    if not rows:
        return None
    lines = [
        (one["service"], *(formats.number(one[name], reader.language) for name in ("asked", "answered")),
         reader.exact(Decimal(one["share"]) / 100, 2, "%") if one["share"] else _("non mesurée"))
        for one in rows
    ]  # fmt: skip
    heads = (_("Service"), _("Demandes"), _("Réponses"), _("Disponibilité"))
    note = _("Chaque page est demandée de l’extérieur, par son nom, tant que le service est en marche et qu’aucune "
             "opération n’est en cours. Ce qui n’a pas été mesuré ne compte pas.")  # fmt: skip
    return {"title": _("Disponibilité des applications"), "heads": heads, "lines": lines, "note": note}


def _references(document: dict[str, Any], reader: Reader) -> list[tuple[str, str]]:
    """What the payer asked to find again: its contract, and how its invoices are routed."""
    _, known = reader.gettext, document.get("contract", {})
    names = ((_("Contrat"), "reference"), (_("Code service"), "service_code"), (_("Engagement"), "engagement"))
    return [(label, known[name]) for label, name in names if known.get(name)]


def seal(document: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """Whether it is sealed, and its hashes."""
    _ = reader.gettext
    if document["state"] != "closed":
        said, hashes = _("Un projet n’est pas scellé : il le sera à la clôture."), []
    else:
        said = _("L’empreinte suit de celle du relevé précédent : rien n’y change après coup.")
        hashes = [(_("Empreinte de ce relevé (SHA-256)"), document["hash"]),
                  (_("Empreinte du relevé précédent"), document["previous_hash"])]  # fmt: skip
    return {"title": _("Scellement"), "said": said, "hashes": hashes}


def _energy(document: dict[str, Any], reader: Reader) -> dict[str, Any] | None:
    """What it took, of which services, and by which factors; None where none was declared."""
    _, taken = reader.gettext, document.get("energy")
    if not taken:
        return None
    said = [_("Calcul : %(basis)s", basis=reader.word(taken["basis"], "basis"))] if taken["basis"] else []
    if taken["missing"]:
        lacking = ", ".join(reader.word(code, "factor") for code in taken["missing"])
        said.append(_("non connu tant que le territoire n’a pas déclaré : %(codes)s", codes=lacking))
    services = taken["services"] if len(taken["services"]) <= MOST else []
    heads = (_("Service"), _("Énergie (kWh)"), _("Émissions d’usage (kgCO2e)"), _("Fabrication (kgCO2e)"))
    factors = [_factor(code, taken["factors"][code], reader) for code in energy.LABELS if code in taken["factors"]]
    return {"title": _("Énergie et carbone"), "heads": heads, "said": " ; ".join(said), "factors": factors,
            "lines": [(one["service"], *_taken(one, reader)) for one in services], "sums": _taken(taken, reader),
            "note": _("D’après les facteurs en vigueur ce mois-là :")}  # fmt: skip


def _taken(figures: dict[str, Any], reader: Reader) -> list[str]:
    kwh, *grams = (figures[name] and Decimal(figures[name]) for name in ("kwh", "grams", "embodied"))
    values = [kwh, *(one and one / 1000 for one in grams)]
    return [formats.NOTHING if one is None else reader.exact(one, 3) for one in values]


def _factor(code: str, one: dict[str, str], reader: Reader) -> tuple[str, Any]:
    value = f"{formats.number(Decimal(one['value']), reader.language)} {energy.UNITS[code]}".strip()
    label, basis = reader.word(code, "factor"), reader.word(one["basis"], "basis")
    return f"{label}{reader.gettext(' :')} {value} ({basis}) · ", reader.typed(one["source"])
