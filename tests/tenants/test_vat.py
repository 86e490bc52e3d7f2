"""VAT of statements: by regime, rounded once, sealed and proved; margins of exempt members refused."""

from __future__ import annotations

import csv
import io
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from sqlalchemy.orm import Session

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.tables import AuditEntry, Member, Resource
from tenants import checks, contracts, exports, exports_xlsx, focus, focus_identity, periods, statements, vat_rules
from tenants.tables import Statement
from tenants.tables_vat import Contract
from tests.tenants import taxed
from tests.tenants.ledger import PARIS, Ledger


def found(session: Session, label: str) -> dict[str, statements.Document]:
    documents = statements.documents(session, periods.find(session, label))
    return {document["member"]["slug"]: document for document in documents}


def sums(documents: dict[str, statements.Document]) -> dict[str, tuple[str, str, str]]:
    return {slug: (one["total"], one["vat"]["amount"], one["payable"]) for slug, one in documents.items()}


@pytest.mark.slow
def test_each_regime_asks_what_was_worked_out(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = taxed.write(session)
        taxed.draft(session, declared)
        drafted = sums(found(session, "2026-02"))
        taxed.close(session, declared)
    with territory_session(staff, "test") as session:
        february, march = found(session, "2026-02"), found(session, "2026-03")
        assert statements.first_break(session) is None
    assert drafted == sums(february) == taxed.FEBRUARY
    assert sums(march) == taxed.MARCH
    assert {slug: (one["vat"]["regime"], one["vat"]["rate"]) for slug, one in march.items()} == {
        "aubrac": ("out_of_scope", None), "breval": ("exempt", None), "cidre": ("normal", "20.00"),
    }  # fmt: skip
    for article, slug in (("256 B", "aubrac"), ("261 B", "breval"), ("278", "cidre")):
        assert article in march[slug]["vat"]["mention"]["fr"]
    assert march["cidre"]["contract"]["service_code"] == "DSI-01"
    assert march["cidre"]["issuer"]["siret"] == "24000001800012"


@pytest.mark.slow
def test_a_sealed_statement_keeps_the_words_and_the_rate_of_its_day(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        taxed.close(session, taxed.write(session))
        before = found(session, "2026-03")
        vat_rules.add_rate(session, {"since": "2026-01-01", "rate": "21", "source": "loi", "checked_on": "2026-11-01"})
        vat_rules.add_text(session, {"since": "2026-01-01", "code": "exempt", "fr": "Nouveau.", "en": "New.",
                                     "source": "loi"})  # fmt: skip
        assert found(session, "2026-03") == before
        with pytest.raises(Conflict) as refused:
            contracts.write(session, "aubrac", {"since": "2026-03", "regime": "exempt"})
        assert refused.value.code == "period_closed"


@pytest.mark.slow
def test_the_rate_of_the_last_day_counts(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = taxed.write(session)
        for day, rate in (("2026-02-28", "10"), ("2026-03-01", "5.5")):
            vat_rules.add_rate(session, {"since": day, "rate": rate, "source": "invented"})
        taxed.draft(session, declared)
        assert sums(found(session, "2026-02"))["cidre"] == ("33.67", "3.37", "37.04")


@pytest.mark.parametrize(
    ("costs", "code", "words"),
    [
        ({"vcpu": "0.01"}, "missing_unit_cost", "volume"),
        ({"volume": "0.00011"}, "margin_refused", "6,72"),
        ({"volume": "0.00009"}, "margin_refused", "6,05"),
    ],
)
def test_an_exempt_member_pays_its_cost_and_no_more_nor_less(
    staff: sa.Engine, costs: dict[str, str], code: str, words: str
) -> None:
    with territory_session(staff, "test") as session:
        declared = taxed.write(session, costs=costs)
        with pytest.raises(Conflict) as refused:
            taxed.draft(session, declared)
        assert (refused.value.code, refused.value.facts["member"]) == (code, "breval")
        assert words in refused.value.sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prices", "cost", "code"),
    [
        ({"activation": "20"}, None, "missing_unit_cost"),
        ({"activation": "20"}, "18", "margin_refused"),
        ({"activation": "20"}, "20", None),
        ({"minimum_service": "10"}, None, "margin_refused"),
    ],
)
def test_fees_of_an_exempt_member_are_at_cost_and_it_has_no_minimum(
    staff: sa.Engine, prices: dict[str, str], cost: str | None, code: str | None
) -> None:
    with territory_session(staff, "test") as session:
        declared = taxed.write(session)
        ledger = Ledger(session)
        ledger.prices(("2026-01-01", taxed.PRICES), ("2026-02-01", prices))
        ledger.server(ledger.service_of("breval", "poste"), ("launched", "2026-02-05 08:00", 1, 1024),
                      ("serving", "2026-02-05 08:00", 1, 1024))  # fmt: skip
        if cost:
            vat_rules.add_cost(session, {"meter": "activation", "since": "2026-01", "hourly": cost, "source": "D-4"})
        if code is None:
            taxed.draft(session, declared)
            assert periods.check(session, "2026-02") == []
            return
        with pytest.raises(Conflict) as refused:
            taxed.draft(session, declared)
        assert (refused.value.code, refused.value.facts["meter"]) == (code, next(iter(prices)))


@pytest.mark.slow
def test_what_corrects_an_exempt_month_is_at_cost_too(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = taxed.write(session)
        taxed.draft(session, declared)
        assert periods.check(session, "2026-02") == []
        periods.close(session, "2026-02", taxed.MONTHS["2026-02"])
        volume = session.scalars(sa.select(Resource).where(Resource.kind == "volume").order_by(Resource.id)).first()
        assert volume
        Ledger(session).tell(volume, "resized", "2026-02-10 00:00", {"disk_gib": 99})
        taxed.draft(session, declared, "2026-03")
        assert periods.check(session, "2026-03") == []
        [document] = statements.documents(session, periods.find(session, "2026-03"), "breval")
        # One GiB less for 455 h, 0.0455: 6.6745 → 6.67, less 6.72.
        assert [line["amount"] for line in document["lines"] if line["kind"] == "adjustment"] == ["-0.05"]


def test_no_rate_in_force_stops_the_month(owner: sa.Engine, staff: sa.Engine) -> None:
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE vat_rates DISABLE TRIGGER USER"))
        connection.execute(sa.text("DELETE FROM vat_rates"))
    with territory_session(staff, "test") as session:
        declared = taxed.write(session)
        with pytest.raises(Conflict) as refused:
            taxed.draft(session, declared)
        assert refused.value.code == "missing_vat_rate"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slug", "change", "check"),
    [
        ("cidre", {"vat": Decimal("6.74")}, "vat_follows_the_regime"),
        ("cidre", {"vat_rate": Decimal("10.00")}, "vat_follows_the_regime"),
        ("aubrac", {"vat_regime": "exempt"}, "vat_follows_the_regime"),
        ("cidre", {"vat_regime": None, "vat_rate": None, "vat": None}, "vat_follows_the_regime"),
    ],
)
def test_what_is_wrong_by_a_cent_does_not_close(
    staff: sa.Engine, slug: str, change: dict[str, object], check: str
) -> None:
    with territory_session(staff, "test") as session:
        taxed.draft(session, taxed.write(session))
        member = sa.select(Member.id).where(Member.slug == slug).scalar_subquery()
        session.execute(sa.update(Statement).where(Statement.member_id == member).values(**change))
        session.expire_all()
        assert check in {one.check for one in periods.check(session, "2026-02")}


@pytest.mark.slow
def test_a_cost_that_changes_after_the_draft_does_not_close(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        taxed.draft(session, taxed.write(session))
        vat_rules.add_cost(session, {"meter": "volume", "since": "2026-02", "hourly": "0.0002", "source": "D"})
        told = [one for one in periods.check(session, "2026-02") if one.check == "exempt_is_billed_at_cost"]
        assert [(one.subject, one.expected, one.found) for one in told] == [("breval ligne 1", "13.44", "6.72")]


@given(st.integers(-(10**12), 10**12), st.sampled_from(["20.00", "5.50", "2.10", "8.50", "0.01", "99.99"]))
@settings(max_examples=60, deadline=None)
def test_the_proof_rounds_as_the_statement_does(cents: int, rate: str) -> None:
    """`div(abs × 100 × rate + 50, 100)` of the proof is half up in whole cents."""
    total, percent = Decimal(cents) / 100, Decimal(rate)
    once = (total * percent / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
    sign = (total > 0) - (total < 0)
    assert sign * ((abs(total) * 100 * percent + 50) // 100) * Decimal("0.01") == once


def test_contracts_are_refused_by_field_and_leave_an_audit_entry(staff: sa.Engine) -> None:
    with territory_session(staff, "Odile") as session:
        taxed.write(session)
        wrong = {
            "since": "2026-13",
            "regime": "none",
            "vat_number": "FR00",
            "engagement_required": "1",
            "city": "x" * 101,
        }
        with pytest.raises(InvalidInput) as refused:
            contracts.write(session, "aubrac", wrong)
        faults = {(fault["parameter"], fault["code"]) for fault in refused.value.facts["errors"]}
        assert faults == {("since", "invalid_month"), ("regime", "unknown_regime"), ("city", "too_long"),
                          ("vat_number", "invalid_vat_number"), ("engagement", "engagement_required")}  # fmt: skip
        for slug, error in (("cidre", InvalidInput), ("nobody", NotFound)):
            with pytest.raises(error):
                contracts.write(session, slug, {"since": "2026-05", "regime": "exempt"})
        made = contracts.write(session, "aubrac", {"since": "2026-05", "regime": "exempt"})
        contracts.write(session, "aubrac", {"since": "2026-05", "regime": "out_of_scope"})
        assert [one.regime for one in contracts.listed(session, "aubrac")] == ["out_of_scope", "exempt"]
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.subject == f"contract {made.id}")).one()
        assert (entry.actor, entry.action, entry.detail["since"]) == ("Odile", "contract.make", "2026-05-01")


def test_rules_are_refused_by_field(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        for add, wrong, fields in (
            (vat_rules.add_rate, {"since": "x", "rate": "0"}, {"since", "source"}),
            (vat_rules.add_rate, {"since": "2026-01-01", "rate": "0", "source": "s"}, {"rate"}),
            (vat_rules.add_text, {"since": "2026-01-01", "code": "x", "fr": "a", "checked_on": "z"},
             {"code", "en", "source", "checked_on"}),
            (vat_rules.add_cost, {"since": "2026-01-02", "meter": "x", "hourly": "-1"},
             {"since", "meter", "hourly", "source"}),
        ):  # fmt: skip
            with pytest.raises(InvalidInput) as refused:
                add(session, wrong)
            assert {fault["parameter"] for fault in refused.value.facts["errors"]} == fields


@pytest.mark.slow
def test_a_member_sees_its_own_contract_and_changes_nothing(web: sa.Engine, staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        taxed.draft(session, taxed.write(session))
        ids = dict(session.execute(sa.select(Member.slug, Member.id)).all())
    with member_session(web, ids["cidre"], "test") as session:
        assert {one.member_id for one in session.scalars(sa.select(Contract))} == {ids["cidre"]}
        assert sums(found(session, "2026-02")) == {"cidre": taxed.FEBRUARY["cidre"]}
    for sql in (
        "UPDATE contracts SET regime = 'normal'",
        "DELETE FROM vat_rates",
        "UPDATE legal_texts SET source = ''",
    ):
        with pytest.raises(sa.exc.DBAPIError), staff.begin() as connection:
            connection.execute(sa.text(sql))


@pytest.mark.slow
def test_files_hold_vat_and_what_is_to_be_paid(staff: sa.Engine, tmp_path: Path) -> None:
    with territory_session(staff, "test") as session:
        taxed.close(session, taxed.write(session))
        period = periods.find(session, "2026-03")
        documents = statements.documents(session, period)
        who = focus_identity.Identity(name="Vallombre", siret="24000001800012")
        rows = list(focus.rows(session, period, documents, who))
    asked = {focus.invoice_id(one): Decimal(one["payable"]) for one in documents}
    owed = dict.fromkeys(asked, Decimal(0))
    for row in rows:
        owed[row["InvoiceId"]] += row["BilledCost"]
    assert owed == asked
    taxes = [row for row in rows if row["ChargeCategory"] == "Tax"]
    assert [(row["SubAccountName"], row["BilledCost"]) for row in taxes] == [("Cidre", Decimal("-1.93"))]
    text = exports.csv_file(documents, PARIS).decode("utf-8-sig")
    last = [row for row in csv.reader(io.StringIO(text), delimiter=";") if row[2] == "Cidre" and not row[5]]
    assert [(row[6], row[17]) for row in last] == [("total", "-9,63"), ("TVA", "-1,93"), ("net à payer", "-11,56")]
    assert last[1][8] == "TVA 20 % : TVA au taux normal, article 278 du CGI."
    book = exports_xlsx.xlsx_file("2026-03", documents, PARIS)
    sheet = load_workbook(io.BytesIO(book), data_only=True)["Synthèse"]
    written = {row[0].lower(): tuple(f"{value:.2f}" for value in (row[7], row[9], row[10]))
               for row in sheet.iter_rows(5, values_only=True)}  # fmt: skip
    assert written == taxed.MARCH


def test_months_of_before_have_no_vat(owner: sa.Engine, staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        taxed.draft(session, taxed.write(session))
        session.execute(sa.update(Statement).values(vat_regime=None, vat_rate=None, vat=None))
        session.expire_all()
        documents = statements.documents(session, periods.find(session, "2026-02"))
    assert all("vat" not in document for document in documents)
    assert b"net" not in exports.csv_file(documents, PARIS)
    assert exports_xlsx.xlsx_file("2026-02", documents, PARIS)
    assert set(checks.CHECKS) >= {"vat_follows_the_regime", "exempt_is_billed_at_cost"}
