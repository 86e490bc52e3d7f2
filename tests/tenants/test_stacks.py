"""Stacks are folders: what they declare becomes offers, and what is wrong with one is said by file and field."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from orchestrator.database import territory_session
from orchestrator.errors import InvalidInput
from orchestrator.settings import ROOT
from orchestrator.tables import Flow, Service
from tenants import catalogue, catalogue_versions, changes, orders, parameters, register, stacks
from tenants.tables import Offer, Order
from tests.tenants.ordering import KEY, NOW, member, seed

STACKS = ROOT / "playbooks" / "examples"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of stacks with one in it, to be changed."""
    shutil.copytree(STACKS / "hello", tmp_path / "hello")
    return tmp_path


def rewrite(place: Path, change: Change, slug: str = "hello") -> None:
    path = place / slug / stacks.DECLARED
    declared = yaml.safe_load(path.read_text())
    change(declared)
    path.write_text(yaml.safe_dump(declared, allow_unicode=True))


def test_a_stack_is_an_offer_with_all_that_is_asked(place: Path) -> None:
    [offer] = stacks.columns(stacks.read(place / "hello"))
    assert (offer["slug"], offer["kind"], offer["flavor"]) == ("hello", "stack", "s1.small")
    asked = {rule["name"]: rule for rule in offer["parameters"]["rules"]}
    assert list(asked) == ["name", "image", "disk_gib", "public_address", "ssh_keys", "greeting", "contact", "until"]
    assert {name: asked["disk_gib"][name] for name in ("minimum", "maximum", "default")} == {
        "minimum": 1, "maximum": 10, "default": 1,
    }  # fmt: skip
    assert offer["stack"]["register"]["purpose"]["fr"] == "Saluer"


def test_each_size_is_an_offer(place: Path) -> None:
    rewrite(place, lambda it: it["sizes"].append({**it["sizes"][0], "name": "big", "vcpus": 2}))
    assert [offer["slug"] for offer in stacks.columns(stacks.read(place / "hello"))] == ["hello-small", "hello-big"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.pop("licence"), "licence : la clé manque"),
        (lambda it: it["title"].pop("en"), "title.en : la clé manque"),
        (lambda it: it["versions"][0]["brings"].pop("en"), "versions.0.brings.en : la clé manque"),
        (lambda it: it.update(data_class="secret"), "data_class : valeur inconnue ; choisissez parmi 'standard'"),
        (lambda it: it.pop("register"), "register : la clé manque"),
        (lambda it: it.pop("m57"), "m57 : la clé manque"),
        (lambda it: it["focus"].update(category="Websites"), "focus.category : choisissez parmi AI and"),
        (lambda it: it["focus"].update(subcategory="Sites"), "focus.subcategory : choisissez parmi Application"),
        (lambda it: it["retention"].update(maximum_days=7), "retention : default_days"),
        (lambda it: it["parameters"][0].update(type="colour"), "parameters.0 : valeur inconnue ; choisissez parmi"),
        (lambda it: it["sizes"][0].update(vcpus=0), "sizes.0.vcpus : plus de 0 est attendu"),
        (lambda it: it.update(colour="blue"), "colour : clé inconnue"),
        (lambda it: it.update(sources=["docker"]), "sources.0"),
        (lambda it: it["health"][0].update(port=8080), "8080"),
        (lambda it: it["web"].update(port=8080), "web.port"),
        (lambda it: it.update(provides="coffee"), "provides"),
        (lambda it: it["parameters"][0].update(name="disk_gib"), "disk_gib"),
        (lambda it: it["parameters"][0].update(pattern="("), "parameters.0.text.pattern"),
        (lambda it: it["parameters"][0].update(maximum=3), "parameters.0"),
        (lambda it: it["disk"].update(default=99), "disk"),
        (lambda it: it["versions"].append(it["versions"][0]), "versions"),
        (lambda it: it["secrets"][0].update(length=4), "secrets.0.length"),
        (lambda it: it["register"].pop("persons"), "register.persons"),
    ],
)
def test_what_is_wrong_is_said_by_file_and_field(place: Path, change: Change, said: str) -> None:
    rewrite(place, change)
    with pytest.raises(InvalidInput) as refused:
        stacks.read_all([place])
    assert refused.value.code == "invalid_stack"
    assert "hello/stack.yml" in refused.value.sentence
    assert said in refused.value.sentence


@pytest.mark.parametrize("text", ["title: [", "- a", "", "title: 2027-02-30"])
def test_what_is_no_declaration_is_refused(place: Path, text: str) -> None:
    (place / "hello" / "stack.yml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        stacks.read_all([place])
    assert refused.value.code == "invalid_stack"


def test_two_stacks_of_one_name_are_refused(place: Path) -> None:
    with pytest.raises(InvalidInput) as refused:
        stacks.read_all([STACKS, place])
    assert refused.value.code == "invalid_stack"


def test_a_stack_is_published_changed_and_withdrawn(staff: sa.Engine, place: Path) -> None:
    with territory_session(staff, "dsi") as session:
        catalogue.load(session)
        published = {"slug": "hello", "version": 1, "change": "published"}
        assert catalogue.load(session, places=[place]) == [published]
        assert catalogue.load(session, places=[place]) == []
        rewrite(place, lambda it: it["ports"].append(8080))
        assert catalogue.load(session, places=[place]) == [{**published, "version": 2}]
        assert catalogue.load(session) == [{"slug": "hello", "version": 2, "change": "withdrawn"}]


def test_what_is_not_offered_has_no_offer(place: Path) -> None:
    declared = place / "hello" / "stack.yml"
    declared.write_text(declared.read_text() + "\noffered: false\n")
    assert [stacks.columns(stack) for stack in stacks.read_all([place])] == [[]]


def test_a_version_made_in_the_pages_keeps_what_the_stack_is(staff: sa.Engine) -> None:
    with territory_session(staff, "dsi") as session:
        catalogue.load(session, places=[STACKS])
        offer = catalogue.find(session, "hello")
        copy = catalogue_versions.copy(session, offer.id)
        assert copy.stack == offer.stack
        assert catalogue_versions.read(session, catalogue_versions.as_yaml(offer)) == []


@pytest.fixture
def placed(owner: sa.Engine, staff: sa.Engine) -> Order:
    """A commune's order of the greeting."""
    seed(owner)
    commune = member(owner)
    with territory_session(staff, "dsi") as session:
        catalogue.load(session, places=[STACKS])
        return orders.place(session, commune, "hello", {"name": "salut", "greeting": " Bienvenue "}, "k", NOW)


def test_an_order_says_what_the_flow_needs(placed: Order, staff: sa.Engine) -> None:
    with territory_session(staff, "dsi") as session:
        specification = session.get_one(Service, placed.service_id).specification
        assert session.get_one(Flow, placed.flow_id).kind == "create_server"
    assert specification["play"] == "stacks/hello"
    assert (specification["stack"]["slug"], specification["stack"]["version"]) == ("hello", "1")
    assert specification["answers"] == {"greeting": "Bienvenue", "contact": "", "until": ""}
    assert (specification["disk_gib"], specification["ssh_keys"]) == (1, [])


def test_the_data_of_an_application_is_not_taken_away(placed: Order, staff: sa.Engine) -> None:
    with territory_session(staff, "dsi") as session:
        assert placed.service_id
        for wanted in ({"disk_gib": 0}, {"offer": "vm-medium"}):
            with pytest.raises(InvalidInput) as refused:
                changes.preview(session, placed.service_id, wanted, NOW)
            assert refused.value.code == "invalid_change"


def test_the_register_says_what_the_application_declares(placed: Order, staff: sa.Engine) -> None:
    with territory_session(staff, "dsi") as session:
        document = register.register(session, "brevaux")
    [row] = document["services"]
    assert (row["kind"], row["purpose"]) == ("stack", "Saluer")
    assert row["data"] == "Adresse IP dans le journal (Les habitants)"
    assert (row["retention"], row["recipients"]) == ("30 jours", "La commune")
    [line] = csv.DictReader(register.as_csv(document).decode("utf-8-sig").splitlines(), delimiter=";")
    assert (line["Objet"], line["Durée de conservation"], line["Destinataires"]) == ("Saluer", "30 jours", "La commune")


RULES = [rule for rule in stacks.read(STACKS / "hello").rules if rule["name"] in ("greeting", "contact", "until")]


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("contact", "Mairie@Brévaux.fr", "mairie@xn--brvaux-cva.fr"),
        ("until", "2027-01-31", "2027-01-31"),
        ("until", "", ""),
        ("until", "31/01/2027", None),
        ("until", "2027-02-30", None),
        ("until", 20270131, None),
        ("contact", "mairie", None),
        ("greeting", "", None),
        ("greeting", "x" * 61, None),
        ("greeting", "deux\nlignes", None),
        ("greeting", ["oui"], None),
    ],
)
def test_texts_addresses_and_days_are_read(name: str, value: Any, read: str | None) -> None:
    given = {"greeting": "Bonjour", name: value}
    if read is not None:
        assert parameters.read(RULES, given)[name] == read
        return
    with pytest.raises(InvalidInput) as refused:
        parameters.read(RULES, given)
    assert [fault["parameter"] for fault in refused.value.facts["errors"]] == [name]


def test_a_text_matches_its_pattern_as_a_whole() -> None:
    rule = parameters.TextRule(
        name="number", type="text", label={"fr": "Numéro", "en": "Number"}, help={"fr": "Deux chiffres", "en": "Two"},
        pattern="[0-9]{2}",
    ).model_dump(exclude_none=True)  # fmt: skip
    assert parameters.read([rule], {"number": "42"}) == {"number": "42"}
    with pytest.raises(InvalidInput, match="Deux chiffres"):
        parameters.read([rule], {"number": "421"})


def test_what_was_typed_takes_the_type_of_its_rule(staff: sa.Engine) -> None:
    rules = stacks.read(STACKS / "hello").rules
    typed = {"disk_gib": "5", "public_address": "oui", "greeting": "42", "ssh_keys": f"{KEY}\n"}
    assert parameters.from_texts(rules, typed) == {
        "disk_gib": 5, "public_address": True, "greeting": "42", "ssh_keys": [KEY],
    }  # fmt: skip


def test_the_database_refuses_an_application_without_its_stack(owner: sa.Engine) -> None:
    columns = catalogue.read()[0] | {"kind": "stack", "version": 1}
    with pytest.raises(sa.exc.IntegrityError), territory_session(owner, "tests") as session:
        session.add(Offer(**columns))


def test_each_key_is_explained_to_those_who_write_a_stack() -> None:
    told = (ROOT / "docs" / "stacks.md").read_text()
    fields = stacks.Declared.model_fields.items()
    keys = {field.alias or name for name, field in fields} - {"slug", "awaits_source"}  # those are not written
    assert [key for key in sorted(keys) if f"`{key}`" not in told] == []
