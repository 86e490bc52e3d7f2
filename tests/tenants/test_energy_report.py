"""The year's review: sums by member and offer, machines that stood still, what finance's meter says, the files."""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.errors import InvalidInput
from tenants import energy_files, energy_report, exports_xlsx, periods, statements
from tenants.finance import Power
from tests.tenants.costed import ENERGY, book
from tests.tenants.ledger import LATER, PARIS, Ledger
from tests.tenants.test_energy import declared, factor, power
from tests.tenants.test_month import write_month
from tests.tenants.test_workbooks import opened, rows

PARK = {"label": "Serveurs", "count": "4", "since": "2021-09-01", "source": "Inventaire"}
NEXT = {**PARK, "label": "À venir", "since": "2027-02-01"}


def year(session: Session) -> Power:
    """March by all factors, April without that of carbon; a machine that is stopped from March on."""
    facts = write_month(session)
    ledger = Ledger(session)
    asleep = ledger.service_of("aubrac", "ancien-site")
    ledger.server(asleep, ("launched", "2026-02-01 08:00", 2, 2048), ("serving", "2026-02-01 08:01", 2, 2048),
                  ("stopped", "2026-02-10 08:00", 2, 2048))  # fmt: skip
    ledger.volume(asleep, ("created", "2026-02-01 08:00", 50))
    # Deleted on the second day of the month: it did not stand still for all of it.
    gone = ledger.service_of("aubrac", "parti")
    ledger.server(gone, ("launched", "2026-02-01 08:00", 2, 2048), ("serving", "2026-02-01 08:01", 2, 2048),
                  ("stopped", "2026-02-10 08:00", 2, 2048), ("deleted", "2026-03-02 08:00", 2, 2048))  # fmt: skip
    book(session, ENERGY)
    chosen = power()
    without = Power.model_validate({"factors": [factor("pue", "1.5")], "equipment": [PARK, NEXT]})
    periods.draft(session, "2026-03", declared(facts, chosen), LATER, PARIS)
    periods.draft(session, "2026-04", declared(facts, without), LATER, PARIS)
    return without


@pytest.mark.slow
def test_sums_are_those_of_the_statements(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        chosen = year(session)
        found = energy_report.report(session, "2026", chosen)
        said = {
            one["member"]["slug"]: one["energy"]
            for one in statements.documents(session, periods.find(session, "2026-03"))
            if "energy" in one
        }
    march, april = found.months
    assert (march.missing, march.basis) == ([], "estimated")
    assert (april.figures.kwh, april.missing[0], april.basis) == (None, "idle_watts", None)
    assert march.metered_kwh == Decimal(1500) == found.metered_kwh  # 1000 kWh × PUE 1.5, of finance's own entry
    assert {row.key: str(row.figures.kwh) for row in found.members} == {slug: one["kwh"] for slug, one in said.items()}
    for name in ("kwh", "grams", "embodied"):
        whole = getattr(found.total, name)
        assert whole == sum(Decimal(one[name]) for one in said.values()) == getattr(march.figures, name)
        assert whole == sum(getattr(row.figures, name) for row in found.offers)
    [idle] = found.idle
    assert (idle.service, idle.months, idle.vcpus, idle.gib) == (
        "ancien-site", ["2026-03", "2026-04"], Decimal("2.0"), Decimal("50.0"))  # fmt: skip
    assert [(one.label, one.years) for one in found.equipment] == [("Serveurs", 5)]


@pytest.mark.slow
def test_files_say_the_same(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        found = energy_report.report(session, "2026", year(session))
        march = statements.documents(session, periods.find(session, "2026-03"))
        april = statements.documents(session, periods.find(session, "2026-04"))
    told = list(csv.DictReader(energy_files.as_csv(found).decode("utf-8-sig").splitlines(), delimiter=";"))
    assert [row["Nature"] for row in told] == ["mois"] * 2 + ["membre"] * 3 + ["offre", "total"]
    assert told[0]["Mention"] == "PROJET ; INCOMPLET"
    assert (told[1]["Énergie (kWh)"], told[1]["Calcul"]) == ("", "non connu")
    assert "Facteur d’émission" in told[1]["À déclarer"]
    assert Decimal(told[-1]["Énergie (kWh)"].replace(",", ".")) == found.total.kwh
    content = energy_files.as_xlsx(found, PARIS)
    assert content == energy_files.as_xlsx(found, PARIS)
    book_ = opened(content)
    assert book_.sheetnames == ["Mois", "Membres", "Offres", "Machines à l’arrêt", "Équipements", "Facteurs d’énergie"]
    assert [row["Énergie (kWh)"] for row in rows(book_, "Mois")][1] is None
    statement = opened(exports_xlsx.xlsx_file("2026-03", march, PARIS))
    taken = rows(statement, "Énergie et carbone")
    assert sum(Decimal(str(row["Énergie (kWh)"])) for row in taken).quantize(Decimal("0.001")) == found.total.kwh
    assert len(rows(statement, "Facteurs d’énergie")) == 7
    unknown = rows(opened(exports_xlsx.xlsx_file("2026-04", april, PARIS)), "Énergie et carbone")
    assert {(row["Énergie (kWh)"], row["Calcul"]) for row in unknown} == {(None, "non connu")}


def test_a_year_without_months_has_nothing_to_say(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        found = energy_report.report(session, "2031", power())
        assert (found.months, found.total.kwh, found.members, found.metered_kwh) == ([], None, [], None)
        assert energy_report.document(found)["kwh"] is None
        for wrong in ("31", "2026-03", "٢٠٢٦", "0000"):
            with pytest.raises(InvalidInput):
                energy_report.report(session, wrong, power())
