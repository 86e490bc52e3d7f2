"""Declared members: what is accepted, and what each mistake says."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.fr import siret

from orchestrator.errors import InvalidInput, NotFound
from orchestrator.settings import ROOT
from tenants import catalogue
from tenants.declarations import Declaration, Problem, load, read
from tenants.declarations_yaml import BrokenYaml, load_yaml, parse

VALLOMBRE = ROOT / "tenants" / "territories" / "vallombre"
AGGLOMERATION = """\
slug: testville
name: Testville Agglomération
kind: epci
siren: "240000018"
siret: "24000001800012"
contacts: [{name: Ada, role: DSI, email: ada@agglo.example}]
quotas: {servers: 2, vcpus: 2, ram_gib: 2, volumes: 0, disk_gib: 0, public_addresses: 0}
"""
COMMUNE = """\
slug: bourg
name: Bourg
kind: commune
siren: "210000113"
siret: "21000011300014"
insee_code: "00001"
population: 1200
contacts:
  - name: Ada
    role: Maire
    email: ada@bourg.example
quotas:
  servers: 2
  vcpus: 4
  ram_gib: 8
  volumes: 2
  disk_gib: 50
  public_addresses: 1
budgets:
  2026: "1200.50"
"""


@pytest.fixture
def territory(tmp_path: Path) -> Path:
    (tmp_path / "territory.yaml").write_text(AGGLOMERATION)
    (tmp_path / "bourg.yaml").write_text(COMMUNE)
    return tmp_path


def _change(territory: Path, old: str, new: str) -> list[Problem]:
    """What is wrong with the commune once `old` reads `new`."""
    assert old in COMMUNE
    (territory / "bourg.yaml").write_text(COMMUNE.replace(old, new))
    return read(territory)[1]


def test_the_invented_territory_is_sound() -> None:
    members = load(VALLOMBRE)
    kinds = [member.kind for member in members]
    assert members[0].kind == "epci"
    assert (kinds.count("commune"), kinds.count("syndicat"), kinds.count("company")) == (12, 1, 1)
    assert any(member.quotas.servers == 1 for member in members)
    for file in VALLOMBRE.glob("*.yaml"):
        assert file.read_text().startswith("# Invented")


def test_a_member_is_read_whole(territory: Path) -> None:
    agglomeration, bourg = load(territory)
    assert agglomeration.slug == "testville"
    assert (bourg.insee_code, bourg.population, bourg.quotas.ram_gib) == ("00001", 1200, 8)
    assert bourg.budgets == {2026: Decimal("1200.50")}
    assert bourg.contacts[0].email == "ada@bourg.example"


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "field"),
    [
        ("slug: bourg", "slug: Le Bourg", "invalid_declaration", 1, "slug"),
        ("slug: bourg", "slug: testville", "duplicate_member", 1, "slug"),
        ("name: Bourg", "name: ''", "invalid_declaration", 2, "name"),
        ("name: Bourg", "nom: Bourg", "invalid_declaration", 2, "nom"),
        ("kind: commune", "kind: canton", "invalid_declaration", 3, "kind"),
        ('siren: "210000113"', 'siren: "210000114"', "invalid_siren", 4, "siren"),
        ('siren: "210000113"', 'siren: "21 00"', "invalid_siren", 4, "siren"),
        ('siret: "21000011300014"', 'siret: "21000011300015"', "invalid_siret", 5, "siret"),
        ('siret: "21000011300014"', 'siret: "73282932000074"', "invalid_siret", 1, ""),
        ('siret: "21000011300014"', "siret: [1]", "invalid_declaration", 5, "siret"),
        ('"00001"', '"2C001"', "invalid_declaration", 6, "insee_code"),
        ("population: 1200", "population: -1", "invalid_declaration", 7, "population"),
        ("population: 1200", "population: 1.5", "invalid_declaration", 7, "population"),
        ("population: 1200\n", "", "invalid_declaration", 1, ""),
        ("ada@bourg.example", "ada at bourg", "invalid_declaration", 11, "contacts.0.email"),
        ("ada@bourg.example", "aïda@bourg.example", "invalid_declaration", 11, "contacts.0.email"),
        ("    role: Maire\n", "", "invalid_declaration", 9, "contacts.0.role"),
        ("servers: 2", "servers: beaucoup", "invalid_declaration", 13, "quotas.servers"),
        ("servers: 2", "server: 2", "invalid_declaration", 13, "quotas.server"),
        ('"1200.50"', "1.2e3", "invalid_declaration", 20, "budgets.2026"),
        ('"1200.50"', '"1200,50"', "invalid_declaration", 20, "budgets.2026"),
        ('"1200.50"', "-5", "invalid_declaration", 20, "budgets.2026"),
        ("2026:", "1026:", "invalid_declaration", 20, "budgets.1026"),
        ("budgets:", "admin_networks: [192.0.2.7/24]\nbudgets:", "invalid_declaration", 19, "admin_networks.0"),
        ("budgets:", "admin_networks: [0.0.0.0/0]\nbudgets:", "invalid_declaration", 19, "admin_networks.0"),
        ("budgets:", "admin_networks: 192.0.2.0/24\nbudgets:", "invalid_declaration", 19, "admin_networks"),
        ("budgets:", "subnet: 10.0.0.0/8bits\nbudgets:", "invalid_declaration", 19, "subnet"),
        ("name: Bourg", "name: [Bourg", "broken_yaml", 3, ""),
        ("name: Bourg", "name: Bourg\nname: Ville", "broken_yaml", 3, ""),
        ("name: Bourg", "name: &a Bourg\nkind: *a", "broken_yaml", 2, ""),
    ],
)
def test_a_mistake_says_where_and_what(territory: Path, old: str, new: str, code: str, line: int, field: str) -> None:
    problems = _change(territory, old, new)
    told = {(problem.code, problem.file, problem.line, problem.field) for problem in problems}
    assert (code, "bourg.yaml", line, field) in told
    assert all(problem.sentence and problem.action for problem in problems)


def test_la_poste_has_a_rule_of_its_own(territory: Path) -> None:
    poste = COMMUNE.replace("21000011300014", "35600000000048").replace("210000113", "356000000")
    (territory / "bourg.yaml").write_text(poste)
    assert read(territory)[1] == []


def test_every_problem_of_every_file_at_once(territory: Path) -> None:
    (territory / "bourg.yaml").write_text(COMMUNE.replace("21000011300014", "1").replace("servers: 2", "servers: x"))
    (territory / "broken.yaml").write_text("name: [")
    (territory / "latin.yaml").write_bytes("name: Évreux".encode("latin-1"))
    (territory / "empty.yaml").write_text("")
    (territory / "territory.yaml").unlink()
    with pytest.raises(InvalidInput) as refused:
        load(territory)
    problems = refused.value.facts["problems"]
    assert {problem["file"] for problem in problems} == {
        "bourg.yaml", "broken.yaml", "latin.yaml", "empty.yaml", "territory.yaml",
    }  # fmt: skip
    assert len(problems) >= 6
    assert {"invalid_siret", "broken_yaml", "missing_territory"} <= {problem["code"] for problem in problems}
    assert "bourg.yaml:5: siret" in refused.value.sentence


def test_one_kind_of_mistake_gives_its_own_code(territory: Path) -> None:
    _change(territory, "21000011300014", "21000011300015")
    with pytest.raises(InvalidInput) as refused:
        load(territory)
    assert refused.value.code == "invalid_siret"


def test_members_dont_share_numbers_or_networks(territory: Path) -> None:
    (territory / "bourg.yaml").write_text(COMMUNE + "subnet: 10.80.0.0/23\n")
    (territory / "twin.yaml").write_text(COMMUNE.replace("slug: bourg", "slug: twin") + "subnet: 10.80.1.0/24\n")
    assert {(problem.code, problem.field) for problem in read(territory)[1]} == {
        ("duplicate_member", "siret"), ("duplicate_member", "insee_code"), ("overlapping_subnet", "subnet"),
    }  # fmt: skip


def test_only_the_territory_file_is_the_agglomeration(territory: Path) -> None:
    assert [problem.field for problem in _change(territory, "kind: commune", "kind: epci")] == ["kind"]


def test_an_unknown_territory_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refused:
        load(tmp_path / "nowhere")
    assert refused.value.code == "unknown_territory"


IMPOSSIBLE = (
    "a: 2026-02-30", "a: !!int x", "a: !!bool x", "a: !!timestamp x", "a: " + "9" * 5000, "[" * 1500, "- [", "a: \0",
    "a: 2001-12-14t21:59:43.10-99:00",
)  # fmt: skip


@pytest.mark.slow
@given(st.text(max_size=200))
@example("- [")
def test_any_text_is_read_or_refused(text: str) -> None:
    for reader in (parse, load_yaml):
        try:
            reader(text)
        except BrokenYaml as refused:
            assert refused.line >= 1


@pytest.mark.parametrize("text", IMPOSSIBLE, ids=lambda text: text[:12])
def test_a_value_that_is_none_is_broken_yaml(text: str) -> None:
    with pytest.raises(BrokenYaml):
        load_yaml(text)
    with pytest.raises(InvalidInput) as refused:
        catalogue.parse("pasted", text)
    assert refused.value.code == "invalid_offers"


@given(st.from_regex(re.compile(r"[0-9]{13}", re.ASCII), fullmatch=True))
def test_a_siret_is_refused_once_a_digit_changes(start: str) -> None:
    sound = start + luhn.calc_check_digit(start)
    if not siret.is_valid(sound):  # its first nine digits are no SIREN
        return
    document, _ = parse(COMMUNE.replace("21000011300014", sound).replace("210000113", sound[:9]))
    assert Declaration.model_validate(document).siret == sound
    wrong = sound[:13] + str((int(sound[13]) + 1) % 10)
    document["siret"] = wrong
    with pytest.raises(ValueError, match="SIRET"):
        Declaration.model_validate(document)


@given(st.dictionaries(st.integers(2000, 2099), st.decimals(0, 10**9, places=2), max_size=4))
def test_budgets_stay_exact(budgets: dict[int, Decimal]) -> None:
    text = "".join(f"  {year}: {amount:f}\n" for year, amount in budgets.items()) or "  {}\n"
    document, _ = parse(COMMUNE.split("budgets:")[0] + "budgets:\n" + text)
    assert Declaration.model_validate(document).budgets == budgets
