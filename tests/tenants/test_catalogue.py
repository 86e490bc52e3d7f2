"""Offers are data with versions; what is ordered is checked parameter by parameter."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.database import territory_session
from orchestrator.errors import InvalidInput
from tenants import catalogue, ssh_keys
from tenants.tables import Offer
from tests.tenants.ordering import KEY, wish

SIZES = {"vm-small": (1, 1024), "vm-medium": (2, 4096), "vm-large": (4, 8192), "vm-xlarge": (8, 16384)}


@pytest.fixture(scope="module")
def small() -> Offer:
    return Offer(**catalogue.read()[0])


def test_declared_offers_are_published_once(staff: sa.Engine) -> None:
    with territory_session(staff, "dsi") as session:
        assert len(catalogue.load(session)) == 4
        assert catalogue.load(session) == []
        offers = catalogue.published(session)
        assert {offer.slug: (offer.vcpus, offer.ram_mib) for offer in offers} == SIZES
        assert [offer.slug for offer in offers if offer.approval == "dsi"] == ["vm-xlarge"]


def test_a_change_makes_a_version_and_keeps_the_earlier_one(staff: sa.Engine, tmp_path: Path) -> None:
    declared = (catalogue.OFFERS / "vm.yaml").read_text()
    (tmp_path / "vm.yaml").write_text(declared.replace("Un site vitrine", "Un blog"))
    with territory_session(staff, "dsi") as session:
        catalogue.load(session)
        changes = catalogue.load(session, tmp_path)
        assert changes == [{"slug": "vm-small", "version": 2, "change": "published"}]
        versions = session.execute(
            sa.select(Offer.version, Offer.state).where(Offer.slug == "vm-small").order_by(Offer.version)
        )
        assert [tuple(row) for row in versions] == [(1, "withdrawn"), (2, "published")]
        (tmp_path / "vm.yaml").write_text("kind: vm\nparameters: []\noffers: []\n")
        assert {change["change"] for change in catalogue.load(session, tmp_path)} == {"withdrawn"}
        assert catalogue.published(session) == []


@pytest.mark.parametrize("text", ["kind: [", "kind: vm", "kind: boat\nparameters: []\noffers: []"])
def test_broken_yaml_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "vm.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=r"vm\.yaml") as refused:
        catalogue.read(tmp_path)
    assert refused.value.code == "invalid_offers"


def test_unknown_offer_names_the_known_ones(staff: sa.Engine) -> None:
    with territory_session(staff, "dsi") as session:
        catalogue.load(session)
        with pytest.raises(InvalidInput, match="vm-small, vm-medium") as refused:
            catalogue.find(session, "vm-huge")
    assert refused.value.code == "unknown_offer"


def test_defaults_complete_an_order(small: Offer) -> None:
    assert catalogue.validate(small, wish()) == {
        "name": "web", "image": "debian-12", "disk_gib": 0, "public_address": False, "ssh_keys": [KEY],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"disk_gib": -1}, "invalid_parameter"),
        ({"disk_gib": 2001}, "invalid_parameter"),
        ({"disk_gib": True}, "invalid_parameter"),
        ({"disk_gib": 1.5}, "invalid_parameter"),
        ({"disk_gib": "10"}, "invalid_parameter"),
        ({"name": "Web"}, "invalid_parameter"),
        ({"name": "web-"}, "invalid_parameter"),
        ({"name": "web\n"}, "invalid_parameter"),
        ({"name": "a" * 41}, "invalid_parameter"),
        ({"name": None}, "invalid_parameter"),
        ({"image": "windows"}, "invalid_parameter"),
        ({"public_address": 1}, "invalid_parameter"),
        ({"ssh_keys": []}, "invalid_parameter"),
        ({"ssh_keys": KEY}, "invalid_parameter"),
        ({"ssh_keys": ["no key"]}, "invalid_ssh_key"),
        ({"colour": "blue"}, "unknown_parameter"),
    ],
)
def test_a_wrong_parameter_is_told(small: Offer, change: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        catalogue.validate(small, wish(**change))
    assert refused.value.code == code
    assert [fault["parameter"] for fault in refused.value.facts["errors"]] == list(change)


def test_all_wrong_parameters_are_told_at_once(small: Offer) -> None:
    with pytest.raises(InvalidInput) as refused:
        catalogue.validate(small, {"disk_gib": -1, "colour": "blue"})
    told = {fault["parameter"] for fault in refused.value.facts["errors"]}
    assert told == {"colour", "name", "disk_gib", "ssh_keys"}


def _rsa(bits: int) -> str:
    public = rsa.generate_private_key(65537, bits).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _blob(kind: bytes, length: int = 32) -> str:
    raw = len(kind).to_bytes(4, "big") + kind + length.to_bytes(4, "big") + b"\1" * length
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "pas une clé"),
        ("ssh-ed25519", "pas une clé"),
        ("ssh-ed25519 AAAA", "abîmée"),
        ("ssh-ed25519 " + _blob(b"ssh-rsa"), "abîmée ou d’un autre type"),
        ("ssh-rsa " + _blob(b"ssh-ed25519"), "abîmée ou d’un autre type"),
        ("ssh-ed25519 " + _blob(b"ssh-ed25519", 31), "abîmée"),
        (KEY.split()[0] + " " + KEY.split()[1][:-8], "abîmée"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "pas une clé"),
        ('command="/bin/sh" ' + KEY, "pas une clé"),
        (KEY + "\n" + KEY, "une seule ligne"),
        (KEY + " \x00", "une seule ligne"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "clé privée"),
        (_rsa(1024), "1024 bits"),
    ],
)  # fmt: skip
def test_what_is_no_public_key_is_refused_without_repeating_it(line: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as refused:
        ssh_keys.read(line)
    assert refused.value.code == "invalid_ssh_key"
    assert len(line) < 20 or line[12:40] not in str(refused.value)


def test_good_keys_pass() -> None:
    assert ssh_keys.read(f"  {KEY}  \n") == KEY
    strong = _rsa(2048)
    assert ssh_keys.read(strong) == strong
