"""The analytic lines of a year's closed months, against amounts that `test_unit_cost` and `test_month` worked out."""

from __future__ import annotations

import csv
import re

import pytest
import sqlalchemy as sa

from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput
from tenants import billing, periods, scdl
from tests.tenants.costed import ACCOUNTS, ENERGY, SERVERS, SUPPLIER, book
from tests.tenants.ledger import LATER, PARIS, Ledger
from tests.tenants.test_month import write_month

# The schema's own rules (budget 0.8.3): obligatory columns, allowed values, patterns.
OBLIGATORY = ("BGT_NATDEC", "BGT_ANNEE", "BGT_SIRET", "BGT_NOM", "BGT_CONTNAT", "BGT_CONTNAT_LABEL", "BGT_NATURE",
              "BGT_NATURE_LABEL", "BGT_SECTION", "BGT_OPBUDG", "BGT_CODRD")  # fmt: skip
ALLOWED = {
    "BGT_NATDEC": {"budget primitif", "budget supplémentaire", "décision modificative", "compte administratif"},
    "BGT_SECTION": {"investissement", "fonctionnement"}, "BGT_OPBUDG": {"réel", "ordre"},
    "BGT_CODRD": {"recette", "dépense"}, "BGT_ARTSPE": {"", "non spécialisé", "spécialisé"},
}  # fmt: skip
PATTERNS = {"BGT_ANNEE": r"\d{4}", "BGT_SIRET": r"\d{14}", "BGT_CONTNAT": r".{1,9}", "BGT_NATURE": r".{1,9}",
            "BGT_FONCTION": r".{0,9}", "BGT_MTREAL": r"-?\d+\.\d\d"}  # fmt: skip


@pytest.mark.slow
def test_closed_months_by_account(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = write_month(session)
        Ledger(session).member("agglo", 9, None, "epci")
        for one in (SUPPLIER, ENERGY, {**SERVERS, "pool": "", "date": "2026-03-01"}):
            book(session, one)
        billing.change(session, "breval", "2026-01", "deduction", "80,00", "D-12")
        billing.change(session, "aubrac", "2026-01", "calls", "", "D-11")  # its revenue is there whoever asks for it
        billing.change(session, "desert", "2026-03", "information", "", "D-13")
        periods.draft(session, "2026-03", declared, LATER, PARIS)
        assert periods.check(session, "2026-03") == []
        with pytest.raises(Conflict) as refused:
            scdl.extract(session, "2026", ACCOUNTS)
        assert refused.value.code == "no_closed_month"
        with pytest.raises(InvalidInput):
            scdl.extract(session, "2026-03", ACCOUNTS)
        periods.close(session, "2026-03", LATER)
    files = []
    for _ in range(2):
        with territory_session(staff, "test") as session:
            found = scdl.extract(session, "2026", ACCOUNTS)
            files.append(scdl.as_csv(found))
            session.execute(sa.text("UPDATE members SET name = 'Autre nom' WHERE kind <> 'epci'"))
            assert (found.months, str(found.unbooked)) == (["2026-03"], "150.01")  # declared without any entry
    assert files[0] == files[1]
    rows = list(csv.DictReader(files[0].decode().splitlines()))
    told = [
        (row["BGT_CODRD"], row["BGT_CONTNAT"], row["BGT_NATURE"], row["BGT_OPERATION"], row["BGT_OPBUDG"])
        for row in rows
    ]
    assert told == [
        ("dépense", "60612", "011", "energie", "réel"), ("dépense", "65811", "65", "tarif", "réel"),
        ("dépense", "6811", "042", "tarif", "ordre"), ("dépense", "739211", "014", "", "réel"),
        ("recette", "70875", "70", "", "réel"), ("recette", "7088", "70", "", "réel"),
    ]  # fmt: skip
    amounts = {row["BGT_CONTNAT"]: row["BGT_MTREAL"] for row in rows}
    assert (amounts["60612"], amounts["65811"], amounts["739211"]) == ("300.00", "1200.50", "-80.00")
    for row in rows:
        assert list(row) == list(scdl.COLUMNS)
        assert all(row[name] for name in OBLIGATORY)
        assert all(row[name] in values for name, values in ALLOWED.items())
        assert all(re.fullmatch(pattern, row[name]) for name, pattern in PATTERNS.items())


def test_an_account_without_a_chapter_is_said() -> None:
    with pytest.raises(InvalidInput) as refused:
        ACCOUNTS.chapter("1641", "2026-12")
    assert refused.value.code == "no_chapter"
    assert (ACCOUNTS.chapter("6217", "2026-12").code, ACCOUNTS.chapter("6262", "2026-12").code) == ("012", "011")
