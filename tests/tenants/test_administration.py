"""Versions of offers, tariffs being prepared, announcements, the register: what the DSI and finance do in the pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
import yaml
from sqlalchemy.orm import Session

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.tables import AuditEntry, Service
from tenants import (
    announcements,
    catalogue,
    catalogue_versions,
    finance,
    periods,
    prices,
    prices_comparison,
    prices_drafts,
    register,
)
from tenants.tables import Offer, Price
from tenants.tables_administration import PriceDraft
from tests.tenants.ledger import BOOK, LATER, PARIS, Ledger
from tests.tenants.ordering import KEY, NOW, member, seed

TOLD = "2026-01-02"  # when members were told of a tariff

DAY = timedelta(days=1)


def _draft(session: Session, slug: str = "vm-small") -> Offer:
    return catalogue_versions.copy(session, catalogue.find(session, slug).id)


def _typed(offer: Offer, **more: object) -> dict[str, object]:
    names = ("title", "summary", "flavor", "vcpus", "ram_mib", "approval")
    return {**{name: getattr(offer, name) for name in names}, **more}


def test_a_version_is_drafted_changed_and_published(owner: sa.Engine, staff: sa.Engine) -> None:
    seed(owner)
    with territory_session(staff, "Hélène") as session:
        draft = _draft(session)
        assert (draft.version, draft.state) == (2, "draft")
        with pytest.raises(Conflict) as twice:
            _draft(session)
        assert (twice.value.code, twice.value.facts) == ("draft_exists", {"offer": draft.id})
        limits = {"disk_gib": {"minimum": "10", "maximum": "500", "default": "20"}}
        catalogue_versions.edit(session, draft.id, _typed(draft, vcpus=2, approval="dsi", limits=limits))
        assert catalogue.find(session, "vm-small").version == 1  # a draft is not offered
        catalogue_versions.publish(session, draft.id)
    with territory_session(staff, "test") as session:
        found = catalogue.find(session, "vm-small")
        assert (found.version, found.vcpus, found.approval, found.origin) == (2, 2, "dsi", "made")
        rule = next(rule for rule in found.parameters["rules"] if rule["name"] == "disk_gib")
        assert (rule["minimum"], rule["maximum"], rule["default"]) == (10, 500, 20)
        states = {offer.version: offer.state for offer, _ in catalogue_versions.listed(session, slug="vm-small")}
        assert states == {1: "withdrawn", 2: "published"}
        with pytest.raises(Conflict) as late:
            catalogue_versions.edit(session, draft.id, _typed(draft))
        assert late.value.code == "not_draft"
        assert catalogue.load(session) == []  # files leave what the pages made
        actions = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.actor == "Hélène")).all()
    assert actions == ["offer.draft", "offer.draft", "offer.withdraw", "offer.publish"]


def test_faults_of_a_version_are_told_by_field(owner: sa.Engine, staff: sa.Engine) -> None:
    seed(owner)
    with territory_session(staff, "test") as session:
        draft = _draft(session)
        wrong = _typed(draft, vcpus="x", title={"fr": "", "en": "A"}, limits={"disk_gib": {"maximum": "much"}})
        with pytest.raises(InvalidInput) as refused:
            catalogue_versions.edit(session, draft.id, wrong)
        assert {fault["parameter"] for fault in refused.value.facts["errors"]} == {
            "vcpus",
            "title.fr",
            "disk_gib.maximum",
        }
        with pytest.raises(InvalidInput) as bounds:
            catalogue_versions.edit(session, draft.id, _typed(draft, limits={"disk_gib": {"minimum": "9999"}}))
        assert bounds.value.facts["errors"][0]["parameter"] == "disk_gib.default"


def test_a_version_is_declared_with_other_fields(owner: sa.Engine, staff: sa.Engine) -> None:
    seed(owner)
    with territory_session(staff, "dsi") as session:
        offer = catalogue.find(session, "vm-small")
        text = catalogue_versions.as_yaml(offer)
        assert catalogue_versions.read(session, text) == [], "as it is published"
        asked = {"name": "motif", "type": "choice", "choices": ["essai", "service"], "default": "essai",
                 "label": {"fr": "Motif", "en": "Reason"}, "help": {"fr": "Pourquoi", "en": "Why"}}  # fmt: skip
        wanted = yaml.safe_load(text)
        wanted["parameters"].append(asked)
        [draft] = catalogue_versions.read(session, yaml.safe_dump(wanted))
        assert draft.parameters["rules"][-1] == asked
        catalogue_versions.publish(session, draft.id)
        given = {"name": "web", "ssh_keys": [KEY], "motif": "service"}
        assert catalogue.validate(catalogue.find(session, "vm-small"), given)["motif"] == "service"


@pytest.mark.parametrize("without", ["name", "image", "disk_gib", "public_address", "ssh_keys"])
def test_an_offer_that_nobody_could_order_is_refused(owner: sa.Engine, staff: sa.Engine, without: str) -> None:
    seed(owner)
    with territory_session(staff, "dsi") as session:
        wanted = yaml.safe_load(catalogue_versions.as_yaml(catalogue.find(session, "vm-small")))
        wanted["parameters"] = [rule for rule in wanted["parameters"] if rule["name"] != without]
        with pytest.raises(InvalidInput, match=without) as refused:
            catalogue_versions.read(session, yaml.safe_dump(wanted))
        assert refused.value.code == "invalid_offers"


def test_yaml_makes_drafts_of_what_differs(owner: sa.Engine, staff: sa.Engine) -> None:
    seed(owner)
    text = (catalogue.OFFERS / "vm.yaml").read_text()
    with territory_session(staff, "test") as session:
        assert catalogue_versions.read(session, text) == []
        made = catalogue_versions.read(session, text.replace("vcpus: 4", "vcpus: 6"))
        assert [(offer.slug, offer.version, offer.vcpus) for offer in made] == [("vm-large", 2, 6)]
        with pytest.raises(InvalidInput):
            catalogue_versions.read(session, "kind: [")
        catalogue_versions.withdraw(session, made[0].id)
        catalogue_versions.withdraw(session, catalogue.find(session, "vm-large").id)
        with pytest.raises(InvalidInput):
            catalogue.find(session, "vm-large")


def _book(session: Session) -> dict[str, list[tuple[date | None, Decimal]]]:
    found: dict[str, list[tuple[date | None, Decimal]]] = {}
    for row in prices.listed(session):
        found.setdefault(row["meter"], []).append((row["from"].date(), row["hourly"]))
    return found


@pytest.mark.slow
def test_a_tariff_is_drafted_compared_and_adopted(owner: sa.Engine, staff: sa.Engine) -> None:
    with territory_session(owner, "test") as session:
        ledger = Ledger(session)
        ledger.member("brevaux", 1, 1000)
        ledger.prices(("2026-01-01", BOOK))
        service = ledger.service("brevaux", "web")
        ledger.server(service, ("launched", "2026-03-01 00:00", 2, 4096), ("serving", "2026-03-01 00:00", 2, 4096))
        sharing = ledger.sharing({"tous": {"equal": "1"}}, {"fixe": ("tous", "100.00")})
        periods.draft(session, "2026-03", sharing, LATER, PARIS)
    with territory_session(staff, "Karim") as session:
        draft = prices_drafts.write(session, None, "Tarif 2027", "2027-01-01", {"vcpu": "0,013", "ram": ""})
        found = prices_comparison.compare(session, draft)
        assert found is not None
        assert found.period == "2026-03"
        by_meter = {row["meter"]: (row["before"], row["after"]) for row in found.meters}
        assert by_meter["vcpu"] == (Decimal("9.65"), Decimal("19.29"))  # each rounded once
        assert by_meter["ram"][0] == by_meter["ram"][1]
        assert found.after - found.before == Decimal("9.64")
        assert [row["slug"] for row in found.members] == ["brevaux"]
        prices_drafts.adopt(session, draft.id, PARIS, NOW, TOLD)
    with territory_session(staff, "test") as session:
        vcpu = session.scalars(sa.select(Price).where(Price.origin == "made")).one()
        assert (vcpu.hourly, vcpu.book, vcpu.during.upper) == (Decimal("0.013"), "Tarif 2027", None)
        assert len(_book(session)["vcpu"]) == 2
        again = prices_drafts.write(session, None, "Tarif bis", "2027-01-01", {"vcpu": "1"})
        with pytest.raises(Conflict) as rewritten:
            prices_drafts.adopt(session, again.id, PARIS, NOW, TOLD)
        assert rewritten.value.code == "price_rewritten"
        with pytest.raises(Conflict) as decided:
            prices_drafts.discard(session, draft.id, NOW)
        assert decided.value.code == "draft_decided"


def test_files_and_pages_share_one_book(owner: sa.Engine, staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.prices(("2026-01-01", BOOK))
        draft = prices_drafts.write(session, None, "Entre deux", "2026-07-01", {"vcpu": "0.008"})
        prices_drafts.adopt(session, draft.id, PARIS, NOW, TOLD)
        ledger.prices(("2026-01-01", BOOK))  # the same file again: nothing to do, nothing rewritten
        ledger.prices(("2026-01-01", BOOK), ("2027-01-01", BOOK))
        assert [hourly for _, hourly in _book(session)["vcpu"]] == [
            Decimal("0.0065"),
            Decimal("0.008"),
            Decimal("0.0065"),
        ]
        earlier = prices_drafts.write(session, None, "Avant", "2026-04-01", {"vcpu": "0.007"})
        prices_drafts.adopt(session, earlier.id, PARIS, NOW, TOLD)
        assert len(_book(session)["vcpu"]) == 4
        found = finance.PriceBook.model_validate(
            {"tariffs": [{"from": "2026-01-01", "book": "x", "hourly": {"vcpu": "9"}}]}
        )
        with pytest.raises(Conflict):
            prices.plan(session, found, PARIS)


def test_faults_of_a_tariff_are_told_by_field(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        for typed, fields in (
            (("", "soon", {"vcpu": "-1", "server": "1"}), {"book", "starts", "hourly.vcpu", "hourly.server"}),
            (("Tarif", "2027-01-01", {"vcpu": ""}), {"hourly.vcpu"}),
        ):
            with pytest.raises(InvalidInput) as refused:
                prices_drafts.write(session, None, *typed)
            assert {fault["parameter"] for fault in refused.value.facts["errors"]} == fields
        assert prices_comparison.compare(session, PriceDraft(hourly={})) is None


BOTH = {"fr": "Texte", "en": "Text"}


def _announce(session: Session, **more: object) -> int:
    given = {"level": "info", "title": BOTH, "body": BOTH, "starts_at": NOW, "ends_at": None, "member": None} | more
    return announcements.write(session, None, **given).id  # type: ignore[arg-type]


def test_announcements_reach_whom_they_are_for(owner: sa.Engine, staff: sa.Engine, web: sa.Engine) -> None:
    brevaux, orgelune = member(owner), member(owner, "orgelune")
    with territory_session(staff, "test") as session:
        everybody = _announce(session, ends_at=NOW + DAY)
        own = _announce(session, member="brevaux", level="danger")
        _announce(session, starts_at=NOW + DAY)
        gone = _announce(session)
        announcements.withdraw(session, gone, NOW)

    def read(member_id: int, at: datetime = NOW) -> list[int]:
        with member_session(web, member_id, "test") as session:
            return [one.id for one in announcements.current(session, at)]

    assert read(brevaux) == [own, everybody]
    assert read(orgelune) == [everybody]
    assert everybody not in read(orgelune, NOW + DAY)
    with pytest.raises(NotFound), territory_session(staff, "test") as session:
        _announce(session, member="nowhere")
    with pytest.raises(InvalidInput) as refused, territory_session(staff, "test") as session:
        _announce(session, level="loud", title={"fr": "x"}, ends_at=NOW)
    faults = {fault["parameter"] for fault in refused.value.facts["errors"]}
    assert faults == {"level", "title_en", "ends_at"}


def test_the_register_holds_each_living_service(owner: sa.Engine, staff: sa.Engine, web: sa.Engine) -> None:
    seed(owner)
    brevaux = member(owner)
    with territory_session(owner, "test") as session:
        said = {"offer": "vm-small", "offer_version": 1}
        for name, state in (("web", "active"), ("old", "deleted")):
            session.add(Service(member_id=brevaux, name=name, specification=said, state=state))
    with territory_session(staff, "test") as session:
        whole = register.register(session, "brevaux")
    with member_session(web, brevaux, "test") as session:
        own = register.register(session, "brevaux")
    assert [row["service"] for row in whole["services"]] == ["web"] == [row["service"] for row in own["services"]]
    assert whole["retention_days"] == own["retention_days"] == 365
    assert own["services"][0]["recipients"] == register.STATED  # of a machine only its member knows
    lines = register.as_csv(own).decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert "Petite machine virtuelle" in lines[1]
    assert datetime.now(UTC).strftime("%Y") in lines[1]
