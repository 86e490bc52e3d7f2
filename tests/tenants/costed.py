"""What finance books in tests: costs as a form sends them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from tenants import accounting, cost_entries
from tenants.tables_finance import CostEntry

ACCOUNTS = accounting.load(Path("/nowhere"))
POOLS = {"exploitation": "fonctionnement", "energie": "fonctionnement", "amortissement": "investissement"}
SUPPLIER = {"kind": "supplier", "label": "Hébergement de secours", "account": "65811", "date": "2026-03-12",
            "amount": "1 200,50", "supplier": "Lumen", "reference": "F-1", "service_model": "iaas"}  # fmt: skip
SERVERS = {"kind": "depreciation", "label": "Serveurs", "account": "21838", "date": "2026-03-16", "months": "60",
           "amount": "60000", "prorata": "1", "pool": "amortissement"}  # fmt: skip
ENERGY = {"kind": "energy", "label": "Électricité de mars", "account": "60612", "date": "2026-03-31", "kwh": "1000",
          "kwh_price": "0,20", "pue": "1,5", "pool": "energie"}  # fmt: skip
STAFF = {"kind": "staff", "label": "Deux agents", "account": "64111", "date": "2026-01-01", "annual": "100000",
         "percent": "25", "pool": "exploitation"}  # fmt: skip


def book(session: Session, given: dict[str, str], **more: str) -> CostEntry:
    """Read and kept."""
    return cost_entries.add(session, cost_entries.read({**given, **more}, ACCOUNTS, POOLS))
