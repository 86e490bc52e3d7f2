"""Use → energy and carbon: what each service took in a month, by the factors that were in force when it was drafted.

    kWh = (vCPU-hours × (watts at rest + (watts fully busy - watts at rest) × load) + TiB-hours × watts) × PUE ÷ 1000
    gCO2e of use = kWh × emission factor; gCO2e of fabrication = vCPU-hours × what a vCPU's part of its host weighs

vCPU-hours are those in service: a stopped machine gives its vCPUs back, and keeps its volumes and snapshots.
A service's kWh are rounded once, to the watt-hour, and its gCO2e once, to the gram, from the kWh that is shown: a payer
can do it again. Sums are sums of what is shown. A figure whose factor is not declared is None: never zero, nor a guess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import N_
from tenants.finance import Power, plain
from tenants.tables import Period

Factors = Mapping[str, Mapping[str, str]]  # by code: value, basis, from, source, read_on
POWER = ("idle_watts", "full_watts", "load", "tib_watts", "pue")
NEEDED = (*POWER, "carbon")
LABELS = {
    "idle_watts": N_("Puissance d’un vCPU au repos"),
    "full_watts": N_("Puissance d’un vCPU à pleine charge"),
    "load": N_("Taux d’emploi des vCPU"),
    "tib_watts": N_("Puissance d’un Tio de disque"),
    "pue": N_("PUE de la salle"),
    "carbon": N_("Facteur d’émission de l’électricité"),
    "embodied": N_("Fabrication, par vCPU et heure"),
}
UNITS = {"idle_watts": "W", "full_watts": "W", "load": "", "tib_watts": "W", "pue": "", "carbon": "gCO2e/kWh",
         "embodied": "gCO2e"}  # fmt: skip
BASES = {"measured": N_("mesuré"), "estimated": N_("estimé")}
WATT_SECONDS = 3_600_000  # of a kWh
WATT_HOUR, GRAM = Decimal("0.001"), Decimal("1")
# A wide context, so that no digit of a long month of a big member is lost before the one rounding.
WIDE = Context(prec=60, rounding=ROUND_HALF_UP)
USED = """
SELECT u.period_id, u.member_id, s.id AS service_id, s.ref, s.name, coalesce(s.specification ->> 'offer', '') AS offer,
    coalesce(sum(h.held) FILTER (WHERE m.code = 'vcpu'), 0) AS vcpu,
    coalesce(sum(h.held) FILTER (WHERE m.code = 'vcpu_stopped'), 0) AS stopped,
    coalesce(sum(h.held / u.quantity) FILTER (WHERE m.code = 'vcpu_stopped'), 0) AS rested,
    coalesce(sum(h.held) FILTER (WHERE m.code IN ('volume', 'snapshot')), 0) AS gib
FROM usage_intervals u JOIN meters m ON m.id = u.meter_id JOIN resources r ON r.id = u.resource_id
JOIN services s ON s.id = r.service_id
CROSS JOIN LATERAL (SELECT u.quantity * extract(epoch FROM upper(u.during) - lower(u.during)) AS held) h
WHERE u.period_id = ANY(:periods) AND m.code IN ('vcpu', 'vcpu_stopped', 'volume', 'snapshot')
    AND (CAST(:members AS bigint[]) IS NULL OR u.member_id = ANY(CAST(:members AS bigint[])))
    AND (CAST(:service AS bigint) IS NULL OR s.id = :service)
GROUP BY u.period_id, u.member_id, s.id ORDER BY u.period_id, u.member_id, s.name COLLATE "C", s.ref
"""


@dataclass(frozen=True)
class Use:
    """What a service held in a period, in units × seconds: vCPUs in service, vCPUs stopped, GiB of disk.

    rested: seconds for which its machine was stopped.
    """

    period_id: int
    member_id: int
    service_id: int
    ref: str
    name: str
    offer: str
    vcpu: Decimal
    stopped: Decimal
    rested: Decimal
    gib: Decimal


@dataclass(frozen=True)
class Figures:
    """kWh, gCO2e of use and gCO2e of fabrication; None: not known."""

    kwh: Decimal | None
    grams: Decimal | None
    embodied: Decimal | None


@dataclass(frozen=True)
class Rates:
    """kWh of a vCPU-second and of a GiB-second; gCO2e of a kWh, and of a vCPU-second for its fabrication."""

    vcpu: Fraction | None
    gib: Fraction | None
    carbon: Fraction | None
    embodied: Fraction | None


def freeze(power: Power, month: str) -> dict[str, dict[str, str]] | None:
    """The factors of a month as its period keeps them; None where the territory declares none at all."""
    if not power.factors:
        return None
    return {
        code: {"value": plain(one.value), "basis": one.basis, "from": one.start, "source": one.source,
               "read_on": one.read_on.isoformat()}
        for code, one in power.in_force(month).items()
    }  # fmt: skip


def used(
    session: Session, periods: Sequence[int], *, members: Sequence[int] | None = None, service_id: int | None = None
) -> list[Use]:
    """What each service held in each of these periods, in a stable order."""
    chosen = {"periods": list(periods), "members": None if members is None else list(members), "service": service_id}
    rows = session.execute(sa.text(USED), chosen)
    return [Use(**{**row, "ref": str(row["ref"])}) for row in rows.mappings()]


def missing(factors: Factors) -> list[str]:
    """The codes of what has to be declared before all is known."""
    return [code for code in NEEDED if code not in factors]


def basis(factors: Factors, codes: Iterable[str]) -> str:
    """`measured` when each of these is, else `estimated`."""
    return "measured" if all(factors[code]["basis"] == "measured" for code in codes) else "estimated"


def rates(factors: Factors) -> Rates:
    """What a unit and second comes to, worked out once for all services of a month."""
    value = {code: Fraction(one["value"]) for code, one in factors.items()}
    vcpu = gib = None
    if all(code in value for code in POWER):
        watts = value["idle_watts"] + (value["full_watts"] - value["idle_watts"]) * value["load"]
        vcpu = watts * value["pue"] / WATT_SECONDS
        gib = value["tib_watts"] / 1024 * value["pue"] / WATT_SECONDS
    made = value["embodied"] / 3600 if "embodied" in value else None
    return Rates(vcpu, gib, value.get("carbon"), made)


def figures(by: Rates, use: Use) -> Figures:
    """What a service took, by these rates."""
    kwh = grams = embodied = None
    if by.vcpu is not None and by.gib is not None:
        kwh = _rounded(Fraction(use.vcpu) * by.vcpu + Fraction(use.gib) * by.gib, WATT_HOUR)
        grams = _rounded(Fraction(kwh) * by.carbon, GRAM) if by.carbon is not None else None
    if by.embodied is not None:
        embodied = _rounded(Fraction(use.vcpu) * by.embodied, GRAM)
    return Figures(kwh, grams, embodied)


def _rounded(exact: Fraction, unit: Decimal) -> Decimal:
    """Half up, once; nothing here is below zero."""
    count = (2 * exact / Fraction(unit) + 1).__floor__() // 2
    return WIDE.multiply(Decimal(count), unit)


def total(found: Iterable[Figures], factors: Factors) -> Figures:
    """Their sums; not known where the factors do not say. Without any service a known figure is zero."""
    rows = list(found)
    known = {"kwh": all(code in factors for code in POWER), "embodied": "embodied" in factors}
    known["grams"] = known["kwh"] and "carbon" in factors
    sums = {
        name: sum((getattr(row, name) for row in rows), start) if known[name] else None
        for name, start in (("kwh", Decimal("0.000")), ("grams", Decimal(0)), ("embodied", Decimal(0)))
    }
    return Figures(**sums)


def of_members(session: Session, period: Period, members: Sequence[int] | None = None) -> dict[int, dict[str, Any]]:
    """What the statements of a period say of energy, by member (of all by default); one that used nothing is left out.

    Nothing at all where no factor was declared when the period was drafted.
    """
    if period.energy is None:
        return {}
    by_member: dict[int, list[Use]] = defaultdict(list)
    for use in used(session, [period.id], members=members):
        by_member[use.member_id].append(use)
    return {member: told(period.energy, uses) for member, uses in by_member.items()}


def told(factors: Factors, uses: Sequence[Use]) -> dict[str, Any]:
    """As a statement says it: figures as texts, each service's, what is missing, and the factors with their sources."""
    by = rates(factors)
    found = [figures(by, use) for use in uses]
    whole = total(found, factors)
    return {
        **_texts(whole),
        "basis": None if whole.kwh is None else basis(factors, NEEDED if whole.grams is not None else POWER),
        "missing": missing(factors),
        "factors": dict(factors),
        "services": [
            {"service": use.name, "service_ref": use.ref, "vcpu_seconds": f"{use.vcpu:f}",
             "gib_seconds": f"{use.gib:f}", **_texts(one)}
            for use, one in zip(uses, found, strict=True)
        ],
    }  # fmt: skip


def _texts(found: Figures) -> dict[str, str | None]:
    return {name: None if value is None else f"{value:f}" for name, value in vars(found).items()}


def of_service(session: Session, service_id: int, member_id: int, most: int = 12) -> list[dict[str, Any]]:
    """The last months in which a service used something and its month was drafted, newest first.

    Each: period, state, the figures, what is missing, the factors (None: none was declared then).
    """
    recent = sa.select(Period).where(Period.metered_until.is_not(None)).order_by(Period.label.desc()).limit(most)
    months = {period.id: period for period in session.scalars(recent)}
    uses = used(session, list(months), members=[member_id], service_id=service_id)
    found = [_month(months[use.period_id], use) for use in uses]
    return sorted(found, key=lambda one: str(one["period"]), reverse=True)


def _month(period: Period, use: Use) -> dict[str, Any]:
    factors: Factors = period.energy or {}
    said = figures(rates(factors), use)
    codes = NEEDED if said.grams is not None else POWER
    return {
        "period": period.label, "state": period.state, **vars(said), "missing": missing(factors),
        "basis": None if said.kwh is None else basis(factors, codes), "factors": factors,
    }  # fmt: skip
