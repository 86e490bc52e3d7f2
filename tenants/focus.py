"""A month's charges in the words of FOCUS (FinOps Open Cost and Usage Specification): one row a line of a statement.

What a row says comes from the statement's document, which is sealed with the month, from prices and from the offer
that a service was ordered as, which never change, and from what the installation says of itself for that month. So
the rows of a closed month are always the same.

BilledCost and EffectiveCost are the line's amount, to the cent: they sum to the statement. ListCost and ContractedCost
are quantity × price before that rounding, exactly. A share of a common cost is a purchase of a part of it: the
quantity is the part, the price is the whole; a cost below zero (a subsidy) is a credit, which has no price. What
corrects a closed month is a charge of the class Correction, of the time when that month's line was charged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Service
from tenants import exports, focus_words
from tenants.focus_columns import QUANTITY
from tenants.focus_identity import Identity
from tenants.focus_words import Offering
from tenants.statements import Document
from tenants.tables import MAKING, Meter, Offer, Order, Period, Price, StatementLine

Row = dict[str, Any]
WIDE = Context(prec=60, rounding=ROUND_HALF_UP)
HOURS = Decimal("1e-12")  # of a unit; with a price of 8 decimals the product still fits its column
PARTS = Decimal(1).scaleb(-QUANTITY)
OFFERED_AS = {"vm": "Machine virtuelle", "stack": "Application"}


@dataclass(frozen=True)
class Facts:
    """What documents do not say. ends: of each price, by its meter, start and book; applications: by service."""

    who: Identity
    skus: Mapping[str, str]
    ends: Mapping[tuple[str, datetime, str], datetime | None]
    applications: Mapping[str, Offering]


def rows(session: Session, period: Period, documents: Iterable[Document], who: Identity) -> Iterator[Row]:
    """The rows of these statements of the period, line by line. What a row does not name is null."""
    facts = _facts(session, period, who)
    for document in documents:
        whole = _statement(document, who)
        for line in document["lines"]:
            yield {**whole, **_place(whole, line), **CHARGES[line["kind"]](document, line, facts)}
        if Decimal(document.get("vat", {}).get("amount", 0)):
            yield {**whole, **_tax(document, whole)}


def invoice_id(document: Document, month: str | None = None) -> str:
    """What a statement, or the same member's of another month, is called where invoices have a number: month and
    SIRET; a sample says so.
    """
    return f"{'EXEMPLE-' if document['sample'] else ''}{month or document['period']}-{document['member']['siret']}"


def _facts(session: Session, period: Period, who: Identity) -> Facts:
    priced = session.execute(
        sa.select(Meter.code, sa.func.lower(Price.during), Price.book, sa.func.upper(Price.during))
        .join(Meter, Meter.id == Price.meter_id)
        .where(sa.func.lower(Price.during) < period.during.upper)  # of closed months too, for what corrects them
    )
    skus = session.execute(sa.select(Meter.code, Meter.sku).where(Meter.sku.is_not(None)))
    return Facts(
        who,
        {code: sku or code for code, sku in skus},
        {(code, since, book): until for code, since, book, until in priced},
        _applications(session, period),
    )


def _applications(session: Session, period: Period) -> dict[str, Offering]:
    """By reference, the services of the period that are applications, as they were first ordered."""
    used = sa.select(StatementLine.service_id).where(StatementLine.period_id == period.id)
    found = session.execute(
        sa.select(Service.ref, Order.offer_id)
        .join(Order, Order.service_id == Service.id)
        .join(Offer, Offer.id == Order.offer_id)
        .where(Order.kind.in_(MAKING), Offer.kind == "stack", Service.id.in_(used))
    ).all()
    offers = session.scalars(sa.select(Offer).where(Offer.id.in_({offer_id for _, offer_id in found})))
    known = {offer.id: _application(offer) for offer in offers}
    return {str(ref): known[offer_id] for ref, offer_id in found}


def _application(offer: Offer) -> Offering:
    stack = offer.stack or {}
    # An offer of one size among several is titled « stack, size ».
    title = offer.title["fr"] if offer.slug == stack["slug"] else offer.title["fr"].rpartition(", ")[0]
    said = stack.get("focus", {})
    return focus_words.offering(
        title or offer.title["fr"], said.get("category", focus_words.OTHER), said.get("subcategory")
    )


def _statement(document: Document, who: Identity) -> Row:
    member = document["member"]
    return {
        "BillingAccountId": account(who.siret),
        "BillingAccountName": who.name,
        "BillingAccountType": who.account_type,
        "BillingCurrency": document["currency"],
        "BillingPeriodStart": _instant(document["from"]),
        "BillingPeriodEnd": _instant(document["until"]),
        "HostProviderName": who.host or who.name,
        "InvoiceId": invoice_id(document),
        "InvoiceIssuerName": who.invoice_issuer or who.name,
        "ProviderName": who.provider or who.name,
        "PublisherName": who.publisher or who.name,
        "ServiceProviderName": who.provider or who.name,
        "SubAccountId": account(member["siret"]),
        "SubAccountName": member["name"],
        "SubAccountType": "Membre",
        "x_Mention": exports.mention(document) or None,
    }


def account(siret: str) -> str:
    """A SIRET that no reader of CSV takes for a number, whose zeros it would drop."""
    return f"siret:{siret}"


def _place(whole: Row, line: Document) -> Row:
    amount = Decimal(line["amount"])
    return {
        "BilledCost": amount,
        "EffectiveCost": amount,
        "InvoiceDetailId": f"{whole['InvoiceId']}/{line['position']}",
        "x_StatementLine": line["position"],
    }


def _tax(document: Document, whole: Row) -> Row:
    """VAT on the whole statement: what makes an invoice's rows sum to what is to be paid."""
    amount = Decimal(document["vat"]["amount"])
    return {
        **_offered(focus_words.VAT),
        "BilledCost": amount,
        "ChargeCategory": "Tax",
        "ChargeDescription": exports.vat_label(document["vat"]),
        "ChargeFrequency": "Recurring",
        "ChargePeriodStart": _instant(document["from"]),
        "ChargePeriodEnd": _instant(document["until"]),
        "ContractedCost": amount,
        "EffectiveCost": amount,
        "InvoiceDetailId": f"{whole['InvoiceId']}/TVA",
        "ListCost": amount,
        "Tags": _json({"clocher/member": document["member"]["slug"]}),
    }


def _usage(document: Document, line: Document, facts: Facts) -> Row:
    measure = focus_words.measure(line["meter"])
    application = facts.applications.get(line["service_ref"])
    hours = WIDE.divide(Decimal(line["unit_seconds"]), Decimal(3600)).quantize(HOURS, context=WIDE)
    return {
        **_offered(application or measure.offering),
        **_priced(hours, Decimal(line["hourly"]), "Standard"),
        **_during(document, line, facts),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{line['service']} : {line['label']} ({line['book']})",
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": Decimal(line["unit_seconds"]),
        "ConsumedUnit": focus_words.unit(line["unit"], "Seconds"),
        "PricingUnit": focus_words.unit(line["unit"], "Hours"),
        "RegionId": facts.who.region and facts.who.region.id,
        "RegionName": facts.who.region and facts.who.region.name,
        "ResourceId": line["service_ref"],
        "ResourceName": line["service"],
        "ResourceType": OFFERED_AS["stack" if application else "vm"],
        **_sku(facts.skus.get(line["meter"], line["meter"]), line["label"], measure.details),
        "Tags": _json({"clocher/member": document["member"]["slug"], "clocher/service": line["service_ref"],
                       "clocher/service-name": line["service"]}),
        "x_PriceBook": line["book"],
        "x_PriceFrom": _instant(line["price_from"]),
    }  # fmt: skip


def _once(document: Document, line: Document, facts: Facts) -> Row:
    """A fee, or what lacks to a minimum: one of it is bought, or given back."""
    amount, fee = Decimal(line["amount"]), line["meter"] in focus_words.FEES
    application = facts.applications.get(line["service_ref"] or "")
    service = {"ResourceId": line["service_ref"], "ResourceName": line["service"],
               "ResourceType": OFFERED_AS["stack" if application else "vm"]} if line["service_ref"] else {}  # fmt: skip
    return {
        **_offered(application or focus_words.MACHINES),
        **_priced(Decimal(-1 if amount < 0 else 1), abs(amount), "Standard"),
        "ChargeCategory": "Purchase",
        "ChargeDescription": f"{line['service']} : {line['label']} ({line['book']})",
        "ChargeFrequency": "One-Time" if fee else "Recurring",
        "ChargePeriodStart": _instant(document["from"]),
        "ChargePeriodEnd": _instant(document["until"]),
        "PricingUnit": "Units",
        **service,
        **_sku(facts.skus.get(line["meter"], line["meter"]), line["label"], None),
        "Tags": _json({"clocher/member": document["member"]["slug"]}),
        "x_PriceBook": line["book"],
        "x_PriceFrom": _instant(line["price_from"]),
    }


def _during(document: Document, line: Document, facts: Facts) -> Row:
    """A charge lasts while its price does, within the month; in a draft until where the month was metered."""
    since = _instant(line["price_from"])
    metered, ends = document["metered_until"], facts.ends.get((line["meter"], since, line["book"]))
    bounds = (_instant(document["until"]), metered and _instant(metered), ends)
    return {
        "ChargePeriodStart": max(since, _instant(document["from"])),
        "ChargePeriodEnd": min(bound for bound in bounds if bound),
    }


def _adjustment(document: Document, line: Document, facts: Facts) -> Row:
    """Quantity and cost are differences; prices are those of then, and the charge is of when they were in force. Of a
    fee or a minimum the price is the difference.
    """
    since = _instant(line["price_from"])
    month, place = line["corrects"], line["corrects_position"]
    bounds = (_instant(line["corrects_until"]), facts.ends.get((line["meter"], since, line["book"])))
    return {
        **(_usage if "unit_seconds" in line else _once)(document, line, facts),
        "ChargeClass": "Correction",
        "ChargeDescription": f"Rectification de {month} : {line['service']} : {line['label']} ({line['book']})",
        "ChargePeriodStart": max(since, _instant(line["corrects_from"])),
        "ChargePeriodEnd": min(bound for bound in bounds if bound),
        "x_CorrectedLine": place and f"{invoice_id(document, month)}/{place}",
    }


def _share(document: Document, line: Document, _facts: Facts) -> Row:
    whole = Decimal(line["pool_amount"])
    part = WIDE.divide(Decimal(line["share"]), whole).quantize(PARTS, context=WIDE) if whole else Decimal(0)
    key = f"{line['key']} v{line['key_version']}"
    return {
        **_offered(focus_words.COMMON),
        **(_credit(line) if whole < 0 else _purchase(line, part, whole)),
        "ChargeDescription": f"Quote-part : {line['label']} (clé {key}, {line['deliberation']})",
        "ChargeFrequency": "Recurring",
        "ChargePeriodStart": _instant(document["from"]),
        "ChargePeriodEnd": _instant(document["until"]),
        "Tags": _json({"clocher/pool": line["pool"]}),
        "x_AllocationKey": key,
        "x_BudgetSection": line["section"],
        "x_Deliberation": line["deliberation"],
        "x_ExactShare": Decimal(line["share"]),
        **_allocated(document["member"], key, part if whole else None),
    }


def _settlement(document: Document, line: Document, _facts: Facts) -> Row:
    amount, month = Decimal(line["amount"]), line["corrects"]
    return {
        **_offered(focus_words.COMMON),
        "ChargeCategory": "Adjustment",
        "ChargeClass": "Correction",
        "ChargeDescription": f"Contestation n° {line['dispute']} sur {month} : {line['label']}",
        "ChargeFrequency": "One-Time",
        "ChargePeriodStart": _instant(line["corrects_from"]),
        "ChargePeriodEnd": _instant(line["corrects_until"]),
        "ContractedCost": amount,
        "ListCost": amount,
        "x_CorrectedLine": f"{invoice_id(document, month)}/{line['corrects_position']}",
    }


CHARGES: Mapping[str, Callable[[Document, Document, Facts], Row]] = {
    "usage": _usage,
    "adjustment": _adjustment,
    "settlement": _settlement,
    "fee": _once,
    "minimum": _once,
    "share": _share,
}


def _purchase(line: Document, part: Decimal, whole: Decimal) -> Row:
    return {
        "ChargeCategory": "Purchase",
        **_priced(part, whole, "Other"),
        "PricingUnit": "Units",
        **_sku(f"common-cost/{line['pool']}", "Quote-part", None),
    }


def _credit(line: Document) -> Row:
    amount = Decimal(line["amount"])
    return {"ChargeCategory": "Credit", "ContractedCost": amount, "ListCost": amount}


def _allocated(member: Document, key: str, part: Decimal | None) -> Row:
    """What 1.3 brought for costs that are shared."""
    return {
        # A number of JSON, with all its digits: no float has them.
        "AllocatedMethodDetails": None if part is None else f'{{"Elements":[{{"AllocatedRatio":{plain(part)}}}]}}',
        "AllocatedMethodId": key,
        "AllocatedResourceId": account(member["siret"]),
        "AllocatedResourceName": member["name"],
        "AllocatedTags": _json({"clocher/member": member["slug"]}),
    }


def _offered(offering: Offering) -> Row:
    return {
        "ServiceCategory": offering.category,
        "ServiceName": offering.name,
        "ServiceSubcategory": offering.subcategory,
    }


def _priced(quantity: Decimal, price: Decimal, category: str) -> Row:
    """Nobody has a price of its own: what is listed is what is agreed."""
    cost = WIDE.multiply(quantity, price)
    return {
        "ContractedCost": cost,
        "ContractedUnitPrice": price,
        "ListCost": cost,
        "ListUnitPrice": price,
        "PricingCategory": category,
        "PricingQuantity": quantity,
    }


def _sku(sku: str, meter: str, details: Mapping[str, Any] | None) -> Row:
    """A SKU has one price at a time, whose id must outlive its amounts: the version is in x_PriceBook."""
    return {
        "SkuId": sku,
        "SkuMeter": meter,
        "SkuPriceId": sku,
        "SkuPriceDetails": None if details is None else _json(details),
    }


@lru_cache(1024)  # a month has few of them, each on many lines
def _instant(text: str) -> datetime:
    """To the second, as FOCUS writes instants; months and prices begin on one."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)


def plain(value: Decimal) -> str:
    """Without exponent and without zeros that say nothing."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _json(pairs: Mapping[str, Any]) -> str:
    return json.dumps(pairs, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
