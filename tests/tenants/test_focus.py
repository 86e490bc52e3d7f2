"""FOCUS files of months that tests build, as CSV and as Parquet, before a checker that knows only the specification."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import member_session, territory_session
from orchestrator.errors import InvalidInput
from orchestrator.settings import ROOT
from orchestrator.tables import Member, Service
from tenants import catalogue, finance, focus, focus_files, focus_identity, focus_words, periods, sample, stacks
from tenants import statements as accounts
from tenants.tables import Offer, Order, Period
from tests.tenants import focus_checker
from tests.tenants.focus_checker import File, faults, of_csv, of_parquet
from tests.tenants.ledger import BOOK, LATER, PARIS, Ledger
from tests.tenants.test_month import write_month

pytestmark = pytest.mark.slow

MONTH = "2026-03"
VERSIONS = ("1.2", "1.4")
READERS: dict[str, Callable[[bytes, str], File]] = {"csv": of_csv, "parquet": of_parquet}
TERRITORY = """
name: Vallombre Agglomération
siret: "24000001800012"
"""
IDENTITIES = """
identities:
  - {from: 2026-01, name: "Vallombre", siret: "24000001800012", region: {id: fr-vallombre-1, name: Vallombre}}
  - {from: 2026-04, name: "Grand Vallombre", siret: "24000001800012", provider: "Régie du nuage", host: "CD 00"}
"""
AWKWARD = 'Énergie, "site A"\nbâtiment ; lot 2'


@pytest.fixture
def territory(tmp_path: Path) -> Path:
    """A territory's folder: who it is, and no more."""
    (tmp_path / "finance").mkdir()
    (tmp_path / "territory.yaml").write_text(TERRITORY)
    return tmp_path


def month(session: Session) -> finance.Sharing:
    """March 2026 with a subsidy, a cost of nothing, a title full of signs, and an application beside the machines."""
    write_month(session)
    ledger = Ledger(session)
    ledger.members = {member.slug: member for member in session.scalars(sa.select(Member))}
    ledger.sharing({"tiers": {"equal": "1"}}, {})
    application(session, ledger)
    costs = (("exploitation", "mixte", "100.00"), ("energie", "usage", "50.01"), ("subvention", "tiers", "-40.00"),
             ("rien", "mixte", "0.00"))  # fmt: skip
    keys = [{"code": code, "version": 1, "from": "2026-01-01", "deliberation": f"D-{code}", "weights": weights}
            for code, weights in (("mixte", {"population": "0.5", "equal": "0.5"}), ("usage", {"usage": "1"}),
                                  ("tiers", {"equal": "1"}))]  # fmt: skip
    pools = [{"code": code, "label": {"fr": AWKWARD if code == "energie" else code}, "key": key,
              "monthly": {"2026-01": amount}} for code, key, amount in costs]  # fmt: skip
    return finance.Sharing.model_validate({"keys": keys, "pools": pools})


def application(session: Session, ledger: Ledger) -> Service:
    """breval's cameras, ordered as the catalogue offers them."""
    catalogue.load(session)
    [declared] = [stack for stack in stacks.read_all([ROOT / "playbooks" / "stacks"]) if stack.slug == "video"]
    offer = Offer(version=1, **stacks.columns(declared)[0])
    service = ledger.service("breval", "cameras")
    session.add(offer)
    session.flush()
    session.add(
        Order(member_id=service.member_id, kind="create", request_key="k", offer_id=offer.id, service_id=service.id,
              parameters={}, state="approved", estimate={}, monthly=Decimal(0), placed_by="test")
    )  # fmt: skip
    ledger.server(service, ("launched", "2026-03-02 08:00", 2, 3000), ("serving", "2026-03-02 08:01", 2, 3000))
    ledger.volume(service, ("created", "2026-03-02 08:00", 100))
    return service


def draft(session: Session, declared: finance.Sharing, label: str = MONTH) -> Period:
    return periods.draft(session, label, declared, LATER, PARIS)


def written(
    session: Session, period: Period, territory: Path, kind: str, version: str, member: str | None = None
) -> Any:
    documents = accounts.documents(session, period, member)
    _, content = focus_files.make(session, period, documents, territory, version=version, kind=kind, member=member)
    return content


def invoices(session: Session, period: Period) -> dict[str, Decimal]:
    """What each account of the period asks to be paid."""
    return {focus.invoice_id(one): Decimal(one["payable"]) for one in accounts.documents(session, period)}


def test_a_month_passes_the_checker_in_every_form(staff: sa.Engine, territory: Path) -> None:
    with territory_session(staff, "test") as session:
        period = draft(session, month(session))
        asked = invoices(session, period)
        lines = sum(len(document["lines"]) for document in accounts.documents(session, period))
        files = {
            (kind, version): READERS[kind](written(session, period, territory, kind, version), version)
            for kind in READERS
            for version in VERSIONS
        }
    for (_, version), file in files.items():
        assert faults(file, version, asked) == []
        assert (len(file.rows), lines) == (33, 32)  # and the company's VAT
        assert {row["ChargeCategory"] for row in file.rows} == {"Usage", "Purchase", "Credit", "Tax"}
        assert sum(row["BilledCost"] for row in file.rows) == sum(asked.values())
    for version in VERSIONS:
        text, typed = files["csv", version], files["parquet", version]
        known = [name for name in text.columns if not name.startswith("x_")]
        assert text.columns == typed.columns
        assert [[row[name] for name in known] for row in text.rows] == [
            [row[name] for name in known] for row in typed.rows
        ]


def test_lines_become_charges(staff: sa.Engine, territory: Path) -> None:
    (territory / "finance" / "focus.yaml").write_text(IDENTITIES)
    with territory_session(staff, "test") as session:
        period = draft(session, month(session))
        rows = of_parquet(written(session, period, territory, "parquet", "1.4"), "1.4").rows
        of = {(row["SubAccountName"], row["x_StatementLine"]): row for row in rows}
        before, after = of["Aubrac", 1], of["Aubrac", 2]
    # Worked out in test_month: 336 h × 2 × 0.0065 until the 15th, 407 h × 2 × 0.0070 from there on.
    assert (before["ConsumedQuantity"], before["ConsumedUnit"]) == (336 * 2 * 3600, "Core-Seconds")
    assert (before["PricingQuantity"], before["PricingUnit"], before["ListUnitPrice"]) == (
        672, "Core-Hours", Decimal("0.0065"),
    )  # fmt: skip
    assert (before["ListCost"], before["BilledCost"]) == (Decimal("4.368"), Decimal("4.37"))
    assert (after["ListCost"], after["EffectiveCost"]) == (Decimal("5.698"), Decimal("5.70"))
    assert before["SkuPriceId"] == after["SkuPriceId"] == "vcpu"
    assert before["ChargePeriodEnd"] == after["ChargePeriodStart"]
    assert f"{before['ChargePeriodStart']:%Y-%m-%dT%H:%MZ}" == "2026-02-28T23:00Z"
    assert f"{after['ChargePeriodEnd']:%Y-%m-%dT%H:%MZ}" == "2026-03-31T22:00Z"
    assert (before["ServiceName"], before["ServiceCategory"], before["ServiceSubcategory"]) == (
        "Machines virtuelles", "Compute", "Virtual Machines",
    )  # fmt: skip
    assert (before["BillingAccountId"], before["SubAccountId"], before["InvoiceId"]) == (
        "siret:24000001800012", "siret:00000000100015", "2026-03-00000000100015",
    )  # fmt: skip
    assert (before["RegionId"], before["RegionName"], before["ServiceProviderName"]) == (
        "fr-vallombre-1", "Vallombre", "Vallombre",
    )  # fmt: skip
    assert json.loads(before["Tags"])["clocher/service-name"] == before["ResourceName"] == "mairie"
    assert before["x_Mention"] == "PROJET"
    cameras = [row for row in rows if row["ResourceName"] == "cameras"]
    assert {(row["ServiceName"], row["ServiceCategory"], row["ResourceType"]) for row in cameras} == {
        ("Vidéoprotection", "Media", "Application")
    }
    assert {row["SkuId"] for row in cameras} == {"vcpu", "ram", "volume"}
    assert {row["ServiceCategory"] for row in rows if row["ResourceName"] == "atelier"} == {"Storage", "Networking"}


def test_shared_costs_are_parts_of_the_whole(staff: sa.Engine, territory: Path) -> None:
    with territory_session(staff, "test") as session:
        period = draft(session, month(session))
        rows = of_parquet(written(session, period, territory, "parquet", "1.4"), "1.4").rows
    shared = [row for row in rows if row["Tags"] == '{"clocher/pool":"exploitation"}']
    assert sum(row["BilledCost"] for row in shared) == 100
    assert {row["ListUnitPrice"] for row in shared} == {Decimal("100")}
    assert abs(sum(row["PricingQuantity"] for row in shared) - 1) < Decimal("1e-15")
    assert {row["AllocatedMethodId"] for row in shared} == {"mixte v1"}
    # An eighteenth of everything and an eighth of the inhabitants of 4,500: 23.6111 of 100.
    [aubrac] = [row for row in shared if row["SubAccountName"] == "Aubrac"]
    assert aubrac["PricingQuantity"] == Decimal("0.236111111111111111")
    assert focus_checker.ratio(aubrac["AllocatedMethodDetails"]) == aubrac["PricingQuantity"]
    assert json.loads(aubrac["AllocatedTags"]) == {"clocher/member": "aubrac"}
    credits = [row for row in rows if row["ChargeCategory"] == "Credit"]
    assert [row["ListCost"] for row in credits] == [Decimal("-10.00")] * 4
    assert {row["PricingQuantity"] for row in credits} == {None}
    awkward = [row["ChargeDescription"] for row in rows if row["Tags"] == '{"clocher/pool":"energie"}']
    assert all(AWKWARD in said for said in awkward) and len(awkward) == 4


def test_a_closed_month_is_the_same_to_the_byte(staff: sa.Engine, territory: Path) -> None:
    (territory / "finance" / "focus.yaml").write_text(IDENTITIES)

    def files(session: Session) -> list[bytes]:
        period = periods.find(session, MONTH)
        return [written(session, period, territory, kind, version) for kind in READERS for version in VERSIONS]

    with territory_session(staff, "test") as session:
        draft(session, month(session))
        assert periods.check(session, MONTH) == []
        periods.close(session, MONTH, LATER)
    with territory_session(staff, "test") as session:
        first = files(session)
    with territory_session(staff, "test") as session:
        # A new name, a new price, another offer of the same application: nothing of the closed month's.
        session.execute(sa.update(Member).values(name="Autre"))
        book = (("2026-01-01", BOOK), ("2026-03-15", {"vcpu": "0.0070"}), ("2026-04-01", {"vcpu": "0.0080"}))
        Ledger(session).prices(*book)
        session.execute(sa.update(Offer).where(Offer.kind == "stack").values(state="withdrawn"))
        assert files(session) == first
    assert {row["x_Mention"] for row in of_csv(first[0], "1.2").rows} == {None}


def test_who_we_are_is_dated(territory: Path) -> None:
    assert focus_identity.in_force(territory, MONTH).name == "Vallombre Agglomération"
    path = territory / "finance" / "focus.yaml"
    path.write_text(IDENTITIES)
    assert [focus_identity.in_force(territory, label).name for label in ("2025-12", "2026-03", "2027-01")] == [
        "Vallombre Agglomération", "Vallombre", "Grand Vallombre",
    ]  # fmt: skip
    for text in ("identities: []", "identities: [{from: 2026-01, name: A}]"):
        path.write_text(text)
        with pytest.raises(InvalidInput, match=r"focus\.yaml"):
            focus_identity.in_force(territory, MONTH)
    path.unlink()
    (territory / "territory.yaml").unlink()
    with pytest.raises(InvalidInput) as error:
        focus_identity.in_force(territory, MONTH)
    assert error.value.code == "no_issuer"


def test_a_member_without_lines_and_a_sample(staff: sa.Engine, territory: Path) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.prices(("2026-01-01", BOOK))
        ledger.member("aubrac", 1, 5000)
        ledger.member("atelier", 3, None, "company")
        empty = draft(session, finance.Sharing())
        invented = sample.build(session, "2026-04", finance.Sharing(), LATER, PARIS)
        for kind, read in READERS.items():
            asked = invoices(session, empty)
            file = read(written(session, empty, territory, kind, "1.2"), "1.2")
            assert (faults(file, "1.2", asked), file.rows, sorted(asked.values())) == ([], [], [0, 0])
            for version in VERSIONS:
                file = read(written(session, invented, territory, kind, version), version)
                assert faults(file, version, invoices(session, invented)) == []
                assert all(row["x_Mention"].startswith("EXEMPLE") for row in file.rows)
                assert all(row["InvoiceId"].startswith("EXEMPLE-") for row in file.rows)
        name, _ = focus_files.make(session, invented, [], territory, version="1.2", kind="csv", member="aubrac")
        assert name == "exemple-focus-1.2-2026-04-aubrac.csv"


def test_a_month_that_still_runs_ends_where_it_was_metered(staff: sa.Engine, territory: Path) -> None:
    with territory_session(staff, "test") as session:
        declared = month(session)
        period = periods.draft(session, MONTH, declared, LATER.replace(month=3, day=20, microsecond=9), PARIS)
        file = of_csv(written(session, period, territory, "csv", "1.2"), "1.2")
        assert faults(file, "1.2", invoices(session, period)) == []
        period.metered_until = None
        unmetered = of_csv(written(session, period, territory, "csv", "1.2"), "1.2")
        assert faults(unmetered, "1.2", invoices(session, period)) == []
    ends = {row["ChargePeriodEnd"].isoformat() for row in file.rows if row["ChargeCategory"] == "Usage"}
    assert ends == {"2026-03-14T23:00:00+00:00", "2026-03-20T00:00:00+00:00"}


def test_a_member_reads_its_own(staff: sa.Engine, web: sa.Engine, territory: Path) -> None:
    with territory_session(staff, "test") as session:
        period = draft(session, month(session))
        whole = of_csv(written(session, period, territory, "csv", "1.4"), "1.4").rows
        breval = session.scalars(sa.select(Member.id).where(Member.slug == "breval")).one()
    with member_session(web, breval, "test") as session:
        own = of_csv(written(session, periods.find(session, MONTH), territory, "csv", "1.4"), "1.4")
        assert faults(own, "1.4", invoices(session, periods.find(session, MONTH))) == []
    assert own.rows == [row for row in whole if row["SubAccountName"] == "Breval"]


def test_every_stack_has_a_category_that_focus_knows() -> None:
    for stack in stacks.read_all([ROOT / "playbooks" / "stacks", ROOT / "playbooks" / "examples"]):
        found = focus_words.offering(stack.slug, stack.focus.category, stack.focus.subcategory)
        assert (found.category, found.subcategory) == (stack.focus.category, stack.focus.subcategory)
    assert focus_words.offering("x", "Compute", "Media Streaming").subcategory == "Other (Compute)"
    assert focus_words.offering("x", "Cuisine", "Four") == focus_words.Offering("x", "Other", "Other (Other)")


BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    ("Missing", "BilledCost", {"BilledCost": ...}),
    ("NotNull", "ServiceName", {"ServiceName": None}),
    ("Unknown", "Colour", {"Colour": "red"}),
    ("Placeholder", "RegionId", {"RegionId": "N/A", "RegionName": "x"}),
    ("AllowedValue", "ChargeCategory", {"ChargeCategory": "Refund"}),
    ("AllowedValue", "ServiceSubcategory", {"ServiceSubcategory": "Block Storage"}),
    ("CurrencyFormat", "BillingCurrency", {"BillingCurrency": "€"}),
    ("UnitFormat", "PricingUnit", {"PricingUnit": "vCPU × h"}),
    ("Order", "ChargePeriodEnd", {"ChargePeriodEnd": "start"}),
    ("Outside", "ChargePeriodStart", {"BillingPeriodEnd": "start"}),
    ("PurchaseIsNotUsageBased", "ChargeFrequency", {"ChargeCategory": "Purchase"}),
    ("NullOfTax", "SkuId", {"ChargeCategory": "Tax"}),
    ("Priced", "SkuPriceId", {"SkuPriceId": None}),
    ("OfUsageOnly", "ConsumedQuantity", {"ChargeCategory": "Credit"}),
    ("OfUsage", "ConsumedQuantity", {"ConsumedQuantity": None, "ConsumedUnit": None}),
    ("AsBilled", "ListCost", {"ListUnitPrice": None}),
    ("AsBilled", "EffectiveCost", {"ChargeCategory": "Credit", "EffectiveCost": Decimal(0)}),
    ("Negative", "ListUnitPrice", {"ListUnitPrice": Decimal(-1)}),
    ("Product", "ContractedCost", {"ContractedCost": Decimal("4.3680001")}),
    ("Together", "RegionName", {"RegionId": "fr-1"}),
    ("Together", "SubAccountName", {"SubAccountId": None}),
    ("Duplicate", "ResourceName", {"ResourceName": "ref", "ResourceId": "ref"}),
    ("KeyValueFormat", "Tags", {"Tags": '{"clocher/a": 1, "clocher/a": 2}'}),
    ("KeyValueFormat", "Tags", {"Tags": '{"clocher/a": []}'}),
    ("TagPrefix", "Tags", {"Tags": '{"a": "b"}'}),
    ("Property", "SkuPriceDetails", {"SkuPriceDetails": '{"Cores": 1}'}),
    ("OneParent", "ServiceName", {"ServiceCategory": "Web", "ServiceSubcategory": "Other (Web)"}),
    ("InvoiceSum", "2026-03-00000000100015", {"BilledCost": Decimal("4.38")}),
    ("Together", "AllocatedResourceId", {"AllocatedMethodId": "k"}),
    ("ObjectSchema", "AllocatedMethodDetails", {"AllocatedMethodDetails": '{"Elements":[{"AllocatedRatio":2}]}'}),
    ("Together", "InvoiceDetailId", {"InvoiceDetailId": None}),
]


def test_the_checker_sees_what_is_wrong(staff: sa.Engine, territory: Path) -> None:
    with territory_session(staff, "test") as session:
        period = draft(session, month(session))
        asked = invoices(session, period)
        sound = {version: written(session, period, territory, "csv", version) for version in VERSIONS}
    for rule, about, change in BROKEN:
        version = "1.4" if about.startswith(("Allocated", "InvoiceDetail")) else "1.2"
        file = of_csv(sound[version], version)
        row = file.rows[0]
        for name, value in change.items():
            if value is ...:
                file.columns.remove(name)
            else:
                row[name] = row["BillingPeriodStart"] if value == "start" else value
                file.columns += [name] * (name not in file.columns)
        found = faults(file, version, asked)
        assert any(one.split()[0] == rule and one.split()[-1] == about for one in found), (rule, about, found)


def test_the_checker_reads_csv_by_its_grammar() -> None:
    assert of_csv(b'BilledCost,x_A\r\n1.5,"a ""b"", c\r\nd"\r\n', "1.2").rows == [
        {"BilledCost": Decimal("1.5"), "x_A": 'a "b", c\r\nd'}
    ]
    assert of_csv(b'BilledCost,x_A\r\n+1.5,""\r\n1\r\n', "1.2").broken == [
        "NumericFormat 1 BilledCost", "EmptyString 1 x_A", "FieldCount 2",
    ]  # fmt: skip
    assert of_csv(b"BillingPeriodEnd\r\n2026-03-01 00:00\r\n", "1.2").broken == ["DateTimeFormat 1 BillingPeriodEnd"]
    with pytest.raises(AssertionError):
        of_csv(b'x_A\r\na"b\r\n', "1.2")
