"""VAT of a month's statements: what the contract and the rate of its last day ask for, and the proof of it.

Three regimes. *Out of scope* (CGI 256 B): public bodies among themselves; the default for them. *Exempt* (CGI 261 B): a
grouping's services to its members, as long as the sums asked are exactly each one's share of common expenses: a use or
a fee must be billed at its unit cost, late or not, no minimum may be made up for, and a shared cost is one by
construction. *Normal*: companies always, others by contract.
VAT is worked out once, on the total without it, and rounded once, half up (EN 16931).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from orchestrator.tables import Member
from tenants.prices_book import HOURLY, ROUNDED
from tenants.tables import Period, Statement
from tenants.tables_vat import Contract, LegalText

# The regime of each member `m` and the rate, on the last day of the month `p`.
TERMS = """
    SELECT m.id AS member_id, CASE WHEN m.kind = 'company' THEN 'normal' ELSE coalesce(c.regime, 'out_of_scope') END
        AS regime, (SELECT r.rate FROM vat_rates r WHERE r.since <= p.last_day ORDER BY r.since DESC, r.id DESC LIMIT 1)
    FROM (SELECT id, (to_date(label, 'YYYY-MM') + interval '1 month - 1 day')::date AS last_day FROM periods
        WHERE id = :period) p
    CROSS JOIN members m LEFT JOIN LATERAL (SELECT regime FROM contracts
        WHERE member_id = m.id AND since <= p.last_day ORDER BY since DESC, id DESC LIMIT 1) c ON true
"""
STATE = f"""
UPDATE statements t SET vat_regime = d.regime, vat_rate = CASE WHEN d.regime = 'normal' THEN d.rate END,
    vat = CASE WHEN d.regime = 'normal' THEN round(t.total * d.rate / 100, 2) ELSE 0 END
FROM ({TERMS}) d WHERE t.period_id = :period AND d.member_id = t.member_id
"""  # noqa: S608  (no input in it)
# Everything at a price that is asked of exempt members and is not its cost; without a unit cost `due` is null. What
# lacks to a minimum costs nothing. A correction is a difference of rounded amounts: at cost when its price was. That of
# a month that was not exempt follows the terms of then.
MARGINS = f"""
SELECT m.name, m.slug, e.code AS meter, l.position, l.amount, d.due FROM statement_lines l
JOIN statements t ON t.id = l.statement_id AND t.vat_regime = 'exempt' JOIN members m ON m.id = l.member_id
JOIN meters e ON e.id = l.meter_id JOIN prices p ON p.id = l.price_id
LEFT JOIN LATERAL (SELECT c.hourly FROM unit_costs c WHERE c.meter_id = l.meter_id
    AND c.since <= (SELECT to_date(label, 'YYYY-MM') FROM periods WHERE id = coalesce(l.corrects_id, l.period_id))
    ORDER BY c.since DESC, c.id DESC LIMIT 1) c ON true
CROSS JOIN LATERAL (SELECT CASE WHEN e.basis = 'month' THEN 0 WHEN l.corrects_id IS NOT NULL AND c.hourly = {HOURLY}
        THEN l.amount WHEN e.basis = 'once' THEN sign(l.amount) * round(c.hourly, 2) ELSE {ROUNDED} END AS due
    FROM (SELECT l.unit_seconds, c.hourly) priced) d
WHERE l.period_id = :period AND l.amount IS DISTINCT FROM d.due
    AND NOT EXISTS (SELECT FROM statements o WHERE o.period_id = l.corrects_id AND o.member_id = l.member_id
        AND o.vat_regime <> 'exempt')
ORDER BY m.siret COLLATE "C", l.position
"""  # noqa: S608
# Each gives (subject, expected, found) of whatever differs; joined to those of `tenants.checks`.
CHECKS = {
    # Worked out anew from contract and rate, in whole cents: half up is away from zero.
    "vat_follows_the_regime": f"""
        SELECT m.slug, concat_ws(' ', d.regime, d.due), concat_ws(' ', t.vat_regime, t.vat) FROM statements t
        JOIN members m ON m.id = t.member_id JOIN (SELECT x.member_id, x.regime, x.rate,
            s.id, sign(s.total) * CASE x.regime WHEN 'normal'
                THEN div(abs(s.total) * 100 * x.rate + 50, 100) * 0.01 ELSE 0 END AS due
            FROM ({TERMS}) x JOIN statements s ON s.member_id = x.member_id AND s.period_id = :period) d ON d.id = t.id
        WHERE (t.vat_regime, t.vat) IS DISTINCT FROM (d.regime, d.due)
            OR t.vat_rate IS DISTINCT FROM CASE d.regime WHEN 'normal' THEN d.rate END""",  # noqa: S608
    "exempt_is_billed_at_cost": f"""
        SELECT concat(slug, ' ligne ', position), due, amount FROM ({MARGINS}) margins""",  # noqa: S608
}


def state(session: Session, period: Period) -> None:
    """Write each statement's regime, rate and VAT from its total.

    Raises Conflict missing_vat_rate, missing_unit_cost or margin_refused: an exempt member is billed its cost exactly.
    """
    chosen = {"period": period.id}
    taxed = sa.text(f"SELECT 1 FROM ({TERMS}) d WHERE d.regime = 'normal' AND d.rate IS NULL LIMIT 1")  # noqa: S608
    if session.execute(taxed, chosen).first():
        raise Conflict(
            "missing_vat_rate",
            Text("Aucun taux de TVA n’est en vigueur à la fin de {month}.", month=period.label),
            "Ajoutez-le dans « TVA et contrats », avec sa source.",
        )
    session.execute(sa.text(STATE), chosen)
    margin = session.execute(sa.text(MARGINS), chosen).first()
    if margin:
        raise _refused(margin)


def _refused(margin: sa.Row[Any]) -> Conflict:
    facts = {"member": margin.slug, "meter": margin.meter, "line": margin.position}
    if margin.due is None:
        return Conflict(
            "missing_unit_cost",
            Text("« {name} » est exonéré de TVA (261 B), et rien ne dit ce que coûte « {meter} ».",
                 name=margin.name, meter=margin.meter),
            "Déclarez son coût unitaire dans « TVA et contrats », ou changez le régime de son contrat.",
            facts=facts,
        )  # fmt: skip
    return Conflict(
        "margin_refused",
        Text("« {name} » est exonéré de TVA (261 B) : « {meter} » lui serait facturé {amount} pour un coût de {due}.",
             name=margin.name, meter=margin.meter, amount=margin.amount, due=margin.due),
        "Facturez le coût exact (tarif égal au coût unitaire, sans minimum), ou changez le régime de son contrat.",
        facts=facts,
    )  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What documents of a month say beside amounts: the words of the law by code, contracts by member."""

    texts: dict[str, dict[str, Any]] = field(default_factory=dict)
    contracts: dict[int, Contract] = field(default_factory=dict)


def facts(session: Session, period: Period) -> Facts:
    """What is in force on the month's last day, and may be seen."""
    last = sa.text("(SELECT (to_date(:label, 'YYYY-MM') + interval '1 month - 1 day')::date)").bindparams(
        label=period.label
    )
    texts = session.scalars(sa.select(LegalText).where(LegalText.since <= last).order_by(LegalText.since, LegalText.id))
    contracts = session.scalars(sa.select(Contract).where(Contract.since <= last).order_by(Contract.since, Contract.id))
    # The later replaces the earlier.
    return Facts({text.code: text.text for text in texts}, {one.member_id: one for one in contracts})


def told(statement: Statement, known: Facts) -> dict[str, Any]:
    """What a statement's document says of VAT; nothing for those of before there was any."""
    if statement.vat_regime is None:
        return {}
    vat, rate = statement.vat or Decimal("0.00"), statement.vat_rate
    return {
        "vat": {
            "regime": statement.vat_regime,
            "rate": None if rate is None else f"{rate:f}",
            "amount": f"{vat:.2f}",
            "mention": known.texts.get(statement.vat_regime, {}),
        },
        "payable": str(statement.total + vat),
        "contract": _contract(known.contracts.get(statement.member_id)),
    }


def _contract(contract: Contract | None) -> dict[str, Any]:
    names = ("reference", "vat_number", "street", "postcode", "city", "service_code", "engagement")
    return {name: getattr(contract, name) for name in names if contract is not None and getattr(contract, name)}


def sealed(session: Session, known: Facts) -> dict[str, Any]:
    """What every sealed document says beside: who issues it, the terms of payment. For the territory's session."""
    issuer = session.scalars(sa.select(Member).where(Member.kind == "epci").order_by(Member.id)).first()
    if issuer is None:
        return {}
    who = {
        "name": issuer.name,
        "siren": issuer.siren,
        "siret": issuer.siret,
        **_contract(known.contracts.get(issuer.id)),
    }
    codes = ("terms", "late", "recovery", "discount")
    return {"issuer": who, "terms": {code: known.texts[code] for code in codes if code in known.texts}}
