"""Two months with every regime of VAT: in February all pay, in March a subsidy gives most of them money back.

aubrac, a commune, is outside the scope of VAT without any contract; breval's contract says exempt; cidre is a company.
- February, 672 h: aubrac 2 vCPU × 0.01 = 13.44; breval 100 GiB × 0.0001 = 6.72; cidre 5 GiB = 0.34 (0.336); a cost of
  100.00 in equal parts: 33.34, 33.33, 33.33 (the cent to the smallest SIREN). cidre: 33.67, VAT 20 % 6.734 → 6.73.
- March, 743 h: 14.86, 7.43, 0.37 (0.3715); a subsidy of 30.00: −10.00 each. cidre: −9.63, VAT −1.926 → −1.93.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from orchestrator.tables import Member
from tenants import contracts, finance, periods, pools, vat_rules
from tests.tenants.ledger import PARIS, Ledger, at

PRICES = {"vcpu": "0.01", "ram": "0", "volume": "0.0001"}
ADDRESS = {"street": "1 place du Beffroi", "postcode": "00100", "city": "Brevaux & Lône"}
MONTHS = {"2026-02": at("2026-03-01 08:00"), "2026-03": at("2026-04-01 08:00")}
# member → total, VAT, to pay
FEBRUARY = {"aubrac": ("46.78", "0.00", "46.78"), "breval": ("40.05", "0.00", "40.05"),
            "cidre": ("33.67", "6.73", "40.40")}  # fmt: skip
MARCH = {"aubrac": ("4.86", "0.00", "4.86"), "breval": ("-2.57", "0.00", "-2.57"),
         "cidre": ("-9.63", "-1.93", "-11.56")}  # fmt: skip


def write(session: Session, *, costs: Mapping[str, str] = PRICES) -> finance.Sharing:
    """The facts of both months; costs: what a unit costs by meter, which of exempt breval must be the price."""
    ledger = Ledger(session)
    ledger.prices(("2026-01-01", PRICES))
    for number, (slug, kind) in enumerate((("aubrac", "commune"), ("breval", "commune"), ("cidre", "company")), 1):
        ledger.member(slug, number, None, kind)
    started = (("launched", "2026-01-05 08:00", 2, 1024), ("serving", "2026-01-05 08:01", 2, 1024))
    ledger.server(ledger.service("aubrac", "mairie"), *started)
    for member, size in (("breval", 100), ("cidre", 5)):
        ledger.volume(ledger.service(member, "fichiers"), ("created", "2026-01-05 08:00", size))
    territory(session)
    contracts.write(session, "breval", {"since": "2026-02", "regime": "exempt", "reference": "Convention 2026-02"})
    contracts.write(session, "cidre", {"since": "2026-01", "regime": "normal", "service_code": "DSI-01",
                                       "service_required": True, "engagement": "ENG-2026-7", **ADDRESS})  # fmt: skip
    for meter, hourly in costs.items():
        vat_rules.add_cost(session, {"meter": meter, "since": "2026-01", "hourly": hourly, "source": "Délibération 4"})
    return sharing(session)


def territory(session: Session) -> None:
    """The agglomeration, which issues; closed, so that it has no statement of its own here."""
    session.add(Member(slug="vallombre", name="Vallombre", kind="epci", siren="240000018", siret="24000001800012",
                       state="closed"))  # fmt: skip
    session.flush()
    contracts.write(session, "vallombre", {"since": "2026-01", "regime": "out_of_scope", **ADDRESS})


def sharing(session: Session) -> finance.Sharing:
    key = {"code": "egale", "version": 1, "from": "2026-01-01", "deliberation": "D-1", "weights": {"equal": "1"}}
    costs: tuple[tuple[str, dict[str, Any]], ...] = (("exploitation", {"2026-02": "100.00"}),
                                                     ("subvention", {"2026-03": "-30.00"}))  # fmt: skip
    declared = finance.Sharing.model_validate({
        "keys": [key],
        "pools": [{"code": code, "label": {"fr": code.title()}, "key": "egale", "months": months}
                  for code, months in costs],
    })  # fmt: skip
    pools.apply_keys(session, declared)
    return declared


def close(session: Session, declared: finance.Sharing) -> None:
    """Draft, check and close both months."""
    for label, over in MONTHS.items():
        draft(session, declared, label, over)
        assert periods.check(session, label) == []
        periods.close(session, label, over)


def draft(session: Session, declared: finance.Sharing, label: str = "2026-02", over: datetime | None = None) -> Any:
    return periods.draft(session, label, declared, over or MONTHS[label], PARIS)
