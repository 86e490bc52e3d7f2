"""People: roles and leaving, passwords, guesses that get slower, links that work once, sealed second factors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import sqlalchemy as sa

from orchestrator.database import door_session, member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound, TooMany, Unauthenticated
from orchestrator.settings import Settings
from tenants import accounts, failures, invitations, passwords, roles, second_factor, signing_in
from tenants.passwords import Hasher
from tenants.tables_identity import Account, Credential
from tests.tenants.ordering import member

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GOOD = "quatre girafes bleues dansent"


def invited(staff: sa.Engine, email: str = "camille@brevaux.fr", member_id: int | None = None) -> tuple[int, str]:
    wanted = {"requester"} if member_id else {"dsi_admin"}
    with territory_session(staff, "dsi") as session:
        made = invitations.invite(session, email, "Camille Faure", "fr", member_id, wanted, NOW)
    assert made.secret
    return made.account_id, made.secret


@pytest.mark.parametrize(
    "password",
    ["court", "x" * 257, "camille.faure.12", "brevauxCamille!", "MotDePasse2026", "azertyuiop123", "aaaaaaaaaaaa",
     "121212121212", "Jean-Éric1234"],
)  # fmt: skip
def test_what_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        passwords.check(password, email="camille.faure@brevaux.fr", name="Camille Jean-Éric")
    assert refused.value.code == "weak_password"


@pytest.mark.parametrize("password", [GOOD, "correct cheval pile agrafe", "8fK2-zz9q-77pL", "мой длинный пароль 42"])
def test_length_is_enough(password: str) -> None:
    passwords.check(password, email="camille.faure@brevaux.fr", name="Camille Faure")


def test_a_password_is_hashed_anew_with_todays_parameters(
    settings: Settings, staff: sa.Engine, door: sa.Engine
) -> None:
    old = Hasher(settings)
    account_id, secret = invited(staff)
    invitations.accept(door, old, secret, GOOD, NOW)
    new = Hasher(settings.model_copy(update={"password_memory_kib": 128}))
    with door_session(door, "test") as session:
        before = session.get_one(Credential, account_id).password_hash
    assert before and before.startswith("$argon2id$")
    signing_in.by_password(door, new, "Camille@brevaux.fr ", GOOD, "192.0.2.1", NOW)
    with door_session(door, "test") as session:
        after = session.get_one(Credential, account_id).password_hash
    assert after and "m=128" in after
    assert new.matches(after, GOOD)
    assert not new.matches(after, GOOD + "x")


def test_a_link_is_good_once_and_for_a_time(settings: Settings, staff: sa.Engine, door: sa.Engine) -> None:
    hasher = Hasher(settings)
    _, secret = invited(staff)
    with pytest.raises(NotFound), door_session(door, "test") as session:
        invitations.find(session, secret, NOW + timedelta(days=8))
    with pytest.raises(InvalidInput):
        invitations.accept(door, hasher, secret, "court", NOW)
    invitations.accept(door, hasher, secret, GOOD, NOW)
    with pytest.raises(NotFound):
        invitations.accept(door, hasher, secret, GOOD, NOW)
    with door_session(door, "test") as session:
        first = invitations.forgotten(session, "camille@brevaux.fr", NOW)
        second = invitations.forgotten(session, "camille@brevaux.fr", NOW)
    assert first and second
    with pytest.raises(NotFound):
        invitations.accept(door, hasher, first[1], GOOD, NOW)  # a newer one takes its place
    with pytest.raises(NotFound):
        invitations.accept(door, hasher, second[1], GOOD, NOW + timedelta(hours=2))


@pytest.mark.parametrize(
    ("given", "code"),
    [("rené@brevaux.fr", "email_not_ascii"), ("nowhere", "invalid_email"), ("a b@brevaux.fr", "invalid_email"),
     ("a@brevaux", "invalid_email"), ("a@-brevaux.fr", "invalid_email"), ("a@b@brevaux.fr", "invalid_email"),
     ("a@brevaux.f_r", "invalid_email"), ("a@\u2024.fr", "invalid_email"), ("(a)@brevaux.fr", "invalid_email")],
)  # fmt: skip
def test_an_address_that_a_browsers_field_refuses_is_refused(staff: sa.Engine, given: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        invited(staff, given)
    assert refused.value.code == code


def test_a_domain_with_accents_is_kept_in_ascii_and_found_either_way(staff: sa.Engine) -> None:
    account_id, _ = invited(staff, "O'Neil+cloud@Écublens.FR ")
    with territory_session(staff, "dsi") as session:
        assert session.get_one(Account, account_id).email == "o'neil+cloud@xn--cublens-9xa.fr"
        for typed in ("o'neil+cloud@écublens.fr", "O'NEIL+cloud@xn--cublens-9xa.fr"):
            found = accounts.by_email(session, typed)
            assert found and found.id == account_id


def test_an_account_from_before_the_rule_still_signs_in(owner: sa.Engine, staff: sa.Engine) -> None:
    with owner.begin() as connection:
        connection.execute(sa.text("INSERT INTO accounts (email, name) VALUES ('rené@écublens.fr', 'René')"))
    with territory_session(staff, "dsi") as session:
        found = accounts.by_email(session, "René@écublens.fr")
        assert found and found.name == "René"


@pytest.mark.slow
def test_guesses_get_slower(door: sa.Engine) -> None:
    def guess(at: datetime) -> bool:
        try:
            with door_session(door, "test") as session:
                failures.count(session, {"person x": 3}, at)
        except TooMany as error:
            assert 0 < error.facts["retry_after"] <= 901
            return False
        return True

    assert [guess(NOW) for _ in range(4)] == [True, True, True, False]
    waits = []
    at = NOW
    for _ in range(7):
        begun = at
        while not guess(at):
            at += timedelta(seconds=15)
        waits.append((at - begun).seconds)
    assert waits == [30, 60, 120, 240, 480, 900, 900]
    assert [guess(at + timedelta(days=2)) for _ in range(4)] == [True, True, True, False]


def test_roles_are_of_their_house(owner: sa.Engine, staff: sa.Engine, web: sa.Engine) -> None:
    brevaux, orgelune = member(owner, "brevaux"), member(owner, "orgelune")
    account_id, _ = invited(staff, member_id=brevaux)
    for house, wrong in ((brevaux, {"dsi_admin"}), (None, {"requester"}), (brevaux, {"root"})):
        with pytest.raises(InvalidInput), territory_session(staff, "dsi") as session:
            accounts.set_roles(session, account_id, house, wrong)
    with pytest.raises(sa.exc.ProgrammingError), member_session(web, brevaux, "approver") as session:
        accounts.set_roles(session, account_id, orgelune, {"requester"})
    with member_session(web, brevaux, "approver") as session:
        accounts.set_roles(session, account_id, brevaux, {"finance", "approver"})
    with territory_session(staff, "dsi") as session:
        assert [(place.slug, place.roles) for place in accounts.places(session, account_id)] == [
            ("brevaux", {"finance", "approver"})
        ]


def test_the_last_administrator_stays(staff: sa.Engine) -> None:
    first, _ = invited(staff)
    with pytest.raises(Conflict), territory_session(staff, "dsi") as session:
        accounts.close(session, first, NOW)
    with pytest.raises(Conflict), territory_session(staff, "dsi") as session:
        accounts.set_roles(session, first, None, {"auditor"})
    invited(staff, "yann@agglo.fr")
    with territory_session(staff, "dsi") as session:
        accounts.close(session, first, NOW)
        accounts.close(session, first, NOW)
    with pytest.raises(Conflict), territory_session(staff, "dsi") as session:
        accounts.set_roles(session, first, None, {"auditor"})
    assert invited(staff)[0] == first, "who comes back is invited again, and is the same person"


def test_a_second_factor_is_sealed_and_bound_to_its_account(
    settings: Settings, staff: sa.Engine, door: sa.Engine
) -> None:
    first, second = invited(staff)[0], invited(staff, "yann@agglo.fr")[0]
    with door_session(door, "test") as session:
        address = second_factor.begin(session, session.get_one(Account, first), settings)
        totp = pyotp.parse_uri(address)
        sealed = session.get_one(Credential, first).totp_secret
        assert sealed
        assert totp.secret.encode() not in sealed
        with pytest.raises(Unauthenticated):
            second_factor.confirm(session, first, "000000", NOW, settings)
        assert not second_factor.is_on(session, first)
        codes = second_factor.confirm(session, first, totp.at(NOW), NOW, settings)
        assert len(set(codes)) == 10
    later = NOW + timedelta(seconds=30)
    with door_session(door, "test") as session:
        for wrong in (totp.at(NOW), totp.at(NOW + timedelta(minutes=5)), "", "a" * 500, "１２３４５６"):
            with pytest.raises(Unauthenticated):
                second_factor.check(session, first, wrong, later, settings)
        second_factor.check(session, first, totp.at(later), later, settings)
        session.add(Credential(account_id=second, totp_secret=sealed))
        session.flush()
        with pytest.raises(InvalidInput):
            second_factor.confirm(session, second, totp.at(later), later, settings)


def test_the_policy_table_is_sound() -> None:
    acts = roles.acts()
    assert {"service.read", "order.place", "order.decide", "people.manage", "audit.read"} <= acts.keys()
    assert set(roles.titles()) == set(roles.ROLES)
    assert roles.allows("order.place", {"requester"})
    assert not roles.allows("order.place", {"auditor", "finance"})
    assert not roles.allows("order.place", {"requester"}, {"read"})
    with pytest.raises(KeyError):
        roles.allows("order.burn", {"dsi_admin"})
