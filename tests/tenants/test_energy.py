"""Energy and carbon of March 2026, worked out a second time by hand from the facts of `test_month`.

aubrac: 743 h × 2 vCPU. breval: 1 vCPU from the 10th at 10:01:00.25 to the 25th at 4:00 less the stop from the 20th at
18:00 to the 23rd at 6:00, then 2 vCPU to the 30th at 12:00; 20 GiB from the 10th at 10:00 to the 30th at 12:05.
cidre: 125 GiB for the last hour.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput
from tenants import energy, exports, finance, periods, statements
from tenants.finance import Power, Sharing
from tests.tenants.ledger import LATER, PARIS
from tests.tenants.test_month import write_month

MONTH = "2026-03"
VALUES = {"idle_watts": "2.5", "full_watts": "7", "load": "0.2", "tib_watts": "9", "pue": "1.5", "carbon": "53",
          "embodied": "0.35"}  # fmt: skip


def factor(code: str, value: str, *, start: str = "2026-01", basis: str = "estimated") -> dict[str, str]:
    return {"factor": code, "from": start, "value": value, "basis": basis, "source": "Essai", "read_on": "2026-01-15"}


def power(*without: str, **other: str) -> Power:
    values = {**VALUES, **other}
    rows = [factor(code, value) for code, value in values.items() if code not in without]
    return Power.model_validate({"factors": rows})


def declared(sharing: Sharing, chosen: Power) -> Sharing:
    return sharing.model_copy(update={"power": chosen})


def test_each_service_as_worked_out_by_hand(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        period = periods.draft(session, MONTH, declared(write_month(session), power()), LATER, PARIS)
        said = {one["member"]["slug"]: one.get("energy") for one in statements.documents(session, period)}
    assert said["desert"] is None  # it used nothing
    # 2.5 + (7 - 2.5) × 0.2 = 3.4 W. aubrac: 1486 × 3.4 × 1.5 ÷ 1000 = 7.5786 kWh; × 53 = 401.687 g; 1486 × 0.35 = 520.1
    assert said["aubrac"]
    assert [said["aubrac"][name] for name in ("kwh", "grams", "embodied")] == ["7.579", "402", "520"]
    # breval: 353.983263.. h - 60 h in one vCPU, 128 h in two; 482.083.. h of 20 GiB.
    hours = Decimal(14 * 24 + 18) - (60 + Decimal("0.25")) / 3600 - 60 + 2 * 128
    watts = hours * Decimal("3.4") + Decimal(20) / 1024 * 9 * (Decimal(482) + Decimal(5) / 60)
    [school] = said["breval"]["services"]
    assert Decimal(school["vcpu_seconds"]) == hours * 3600
    assert Decimal(school["kwh"]) == (watts * Decimal("1.5") / 1000).quantize(Decimal("0.001"))
    assert said["cidre"]["kwh"] == "0.002"  # 125 ÷ 1024 × 9 × 1.5 ÷ 1000
    assert (said["aubrac"]["basis"], said["aubrac"]["missing"]) == ("estimated", [])
    assert said["aubrac"]["factors"]["pue"]["source"] == "Essai"


@pytest.mark.slow
def test_a_closed_month_keeps_its_figures(staff: sa.Engine, web: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        facts = write_month(session)
        periods.draft(session, MONTH, declared(facts, power(pue="2")), LATER, PARIS)
        # A draft follows what is declared when it is made again; from the close on nothing does.
        period = periods.draft(session, MONTH, declared(facts, power()), LATER, PARIS)
        drafted = {one["member"]["slug"]: one.get("energy") for one in statements.documents(session, period)}
        assert periods.check(session, MONTH) == []
        periods.close(session, MONTH, LATER)
    with territory_session(staff, "test") as session:
        closed = statements.documents(session, periods.find(session, MONTH))
        assert {one["member"]["slug"]: one.get("energy") for one in closed} == drafted
        assert statements.first_break(session) is None
        assert exports.json_file(closed) == exports.json_file(json.loads(exports.json_file(closed)))
        member = session.execute(sa.text("SELECT id FROM members WHERE slug = 'aubrac'")).scalar_one()
        service = session.execute(sa.text("SELECT id FROM services WHERE name = 'mairie'")).scalar_one()
        other = session.execute(sa.text("SELECT id FROM services WHERE name = 'ecole'")).scalar_one()
    with pytest.raises(Conflict, match="close"), territory_session(staff, "test") as session:
        session.execute(sa.text("UPDATE periods SET energy = '{}'"))
    with member_session(web, member, "agent") as session:
        [month] = energy.of_service(session, service, member)
        assert (month["period"], month["kwh"], month["grams"]) == (MONTH, Decimal("7.579"), Decimal(402))
        assert energy.of_service(session, other, member) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("without", "kwh", "grams", "lacking"),
    [
        (("carbon",), "7.579", None, ["carbon"]),
        (("pue", "carbon"), None, None, ["pue", "carbon"]),
        (("embodied",), "7.579", "402", []),
    ],
)
def test_what_is_not_declared_is_not_known(
    staff: sa.Engine, without: tuple[str, ...], kwh: str | None, grams: str | None, lacking: list[str]
) -> None:
    with territory_session(staff, "test") as session:
        period = periods.draft(session, MONTH, declared(write_month(session), power(*without)), LATER, PARIS)
        assert periods.check(session, MONTH) == []  # never in the way of a close
        said = next(one["energy"] for one in statements.documents(session, period, "aubrac"))
    assert (said["kwh"], said["grams"], said["missing"]) == (kwh, grams, lacking)
    assert said["embodied"] == (None if "embodied" in without else "520")


@pytest.mark.slow
def test_without_any_factor_nothing_is_said(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        period = periods.draft(session, MONTH, write_month(session), LATER, PARIS)
        assert not any("energy" in one for one in statements.documents(session, period))


def test_factors_hold_from_a_month_on() -> None:
    chosen = Power.model_validate(
        {"factors": [factor("pue", "1.4", start="2026-03", basis="measured"), factor("pue", "1.6", start="2025-06")]}
    )
    assert [chosen.in_force(month).get("pue") for month in ("2025-05", "2026-02", "2026-03")] == [
        None, chosen.factors[1], chosen.factors[0]]  # fmt: skip
    frozen = energy.freeze(chosen, "2026-03")
    assert frozen
    assert (frozen["pue"]["value"], energy.basis(frozen, ["pue"])) == ("1.4", "measured")
    assert energy.missing(frozen) == ["idle_watts", "full_watts", "load", "tib_watts", "carbon"]


@pytest.mark.parametrize(
    "wrong", [factor("pue", "0.9"), factor("load", "1.5"), factor("pue", "-1"), factor("watts", "1"), {"factor": "pue"}]
)
def test_a_wrong_file_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    (tmp_path / "finance").mkdir()
    path = tmp_path / "finance" / "energy.yaml"
    path.write_text("factors:\n  - " + json.dumps(wrong) + "\n")
    with pytest.raises(InvalidInput) as refused:
        finance.power(tmp_path)
    assert refused.value.code == "invalid_declaration"
    path.write_text("factors:\n" + f"  - {json.dumps(factor('pue', '1.5'))}\n" * 2)
    with pytest.raises(InvalidInput, match="deux fois"):
        finance.power(tmp_path)


def test_rounding_is_half_up_and_exact() -> None:
    held = energy.Use(1, 1, 1, "", "", "", Decimal("3600"), Decimal(0), Decimal(0), Decimal(0))
    factors = energy.freeze(power(idle_watts="1.5", full_watts="1.5", load="0", pue="1", carbon="500"), "2026-01")
    assert factors
    found = energy.figures(energy.rates(factors), held)  # 1.5 Wh, then 2 Wh × 500 g/kWh = 1 g
    assert (found.kwh, found.grams, found.embodied) == (Decimal("0.002"), Decimal(1), Decimal(0))
