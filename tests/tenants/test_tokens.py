"""Tokens are shown once, end when they should, and speak for one house with no more than their scopes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestrator.database import door_session, member_session, territory_session
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.tables import Member
from tenants import roles, tokens
from tenants.tables_identity import Token
from tenants.tokens import Holder
from tests.tenants.ordering import member

NOW = datetime.now(UTC)


def made(staff: sa.Engine, member_id: int | None, at: datetime = NOW) -> tuple[int, str]:
    held = ["requester"] if member_id else ["dsi_operator"]
    with territory_session(staff, "dsi") as session:
        token, secret = tokens.make(session, "essai", 30, at, member_id=member_id, scopes=["read", "order"], roles=held)
    return token.id, secret


def holder(door: sa.Engine, secret: str, at: datetime = NOW) -> Holder | None:
    with door_session(door, "nobody") as session:
        return tokens.holder(session, secret, at)


def test_a_token_speaks_for_its_member_until_it_is_revoked(owner: sa.Engine, staff: sa.Engine, door: sa.Engine) -> None:
    brevaux = member(owner)
    token_id, secret = made(staff, brevaux)
    assert secret.startswith("clo_")
    assert len(secret) > 40
    found = holder(door, secret)
    assert found
    assert (found.token_id, found.member_id, found.account_id, found.name) == (token_id, brevaux, None, "essai")
    assert (found.roles, found.scopes) == ({"requester"}, {"read", "order"})
    assert roles.allows("order.place", found.roles, found.scopes)
    assert not roles.allows("service.operate", found.roles, found.scopes)
    assert holder(door, secret[:-1] + "z") is None
    assert holder(door, tokens.mint()) is None
    with territory_session(staff, "dsi") as session:
        tokens.revoke(session, token_id, NOW)
        tokens.revoke(session, token_id, NOW)
    assert holder(door, secret) is None


def test_the_last_use_is_written_once_a_minute(owner: sa.Engine, staff: sa.Engine, door: sa.Engine) -> None:
    token_id, secret = made(staff, None)
    used = []
    for after in (0, 30, 90):
        holder(door, secret, NOW + timedelta(seconds=after))
        with territory_session(staff, "dsi") as session:
            used.append(session.get_one(Token, token_id).used_at)
    assert used == [NOW, NOW, NOW + timedelta(seconds=90)]


def test_only_the_digest_is_kept(owner: sa.Engine, staff: sa.Engine) -> None:
    _, secret = made(staff, None)
    with owner.connect() as connection:
        dump = str(connection.execute(sa.text("SELECT t, a FROM tokens t, audit_entries a")).all())
    assert secret not in dump
    with territory_session(staff, "dsi") as session:
        assert secret not in str(tokens.listed(session))


def test_expired_or_of_a_closed_member_is_nobody(owner: sa.Engine, staff: sa.Engine, door: sa.Engine) -> None:
    brevaux = member(owner)
    assert holder(door, made(staff, None, NOW - timedelta(days=31))[1]) is None
    _, secret = made(staff, brevaux)
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Member).values(state="closed"))
    assert holder(door, secret) is None


@pytest.mark.parametrize(
    "wrong",
    [{"label": " "}, {"label": "x\ny"}, {"days": 0}, {"days": 366}, {"scopes": []}, {"scopes": ["everything"]},
     {"roles": []}, {"roles": ["requester"]}, {"roles": ["root"]}],
)  # fmt: skip
def test_bad_requests_are_told(staff: sa.Engine, wrong: dict[str, object]) -> None:
    good = {"label": "x", "days": 30, "at": NOW, "member_id": None, "scopes": ["read"], "roles": ["auditor"]}
    with territory_session(staff, "dsi") as session:
        with pytest.raises(InvalidInput):
            tokens.make(session, **{**good, **wrong})
        with pytest.raises(NotFound):
            tokens.revoke(session, 99, NOW)


def test_the_web_role_reads_no_digest(owner: sa.Engine, staff: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    made(staff, brevaux)
    made(staff, None)
    with member_session(web, brevaux, "x") as session:
        assert [row["label"] for row in tokens.listed(session)] == ["essai"]
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), member_session(web, 1, "x") as session:
        session.execute(sa.text("SELECT digest FROM tokens"))
