"""Tokens are shown once, end when they should, and speak for one member or for the territory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.tables import Member
from tenants import tokens
from tenants.tokens import Holder
from tests.tenants.ordering import member


def made(staff: sa.Engine, slug: str | None, at: datetime | None = None) -> tuple[int, str]:
    with territory_session(staff, "dsi") as session:
        token, secret = tokens.make(session, "essai", slug, 30, at or datetime.now(UTC))
    return token.id, secret


def holder(web: sa.Engine, secret: str) -> Holder | None:
    with member_session(web, 0, "nobody") as session:
        return tokens.holder(session, tokens.digest(secret))


def test_a_token_speaks_for_its_member_until_it_is_revoked(owner: sa.Engine, staff: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    token_id, secret = made(staff, "brevaux")
    assert secret.startswith("clo_")
    assert len(secret) > 40
    assert holder(web, secret) == Holder(token_id, brevaux, "essai")
    assert holder(web, secret + "x") is None
    with territory_session(staff, "dsi") as session:
        tokens.revoke(session, token_id, datetime.now(UTC))
        tokens.revoke(session, token_id, datetime.now(UTC))
    assert holder(web, secret) is None


def test_only_the_digest_is_kept(owner: sa.Engine, staff: sa.Engine) -> None:
    member(owner)
    _, secret = made(staff, None)
    with owner.connect() as connection:
        dump = str(connection.execute(sa.text("SELECT t, a FROM tokens t, audit_entries a")).all())
    assert secret not in dump
    with territory_session(staff, "dsi") as session:
        assert secret not in str(tokens.listed(session))


def test_expired_or_of_a_closed_member_is_nobody(owner: sa.Engine, staff: sa.Engine, web: sa.Engine) -> None:
    member(owner)
    assert holder(web, made(staff, None, datetime.now(UTC) - timedelta(days=31))[1]) is None
    _, secret = made(staff, "brevaux")
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Member).values(state="closed"))
    assert holder(web, secret) is None


def test_bad_requests_are_told(staff: sa.Engine) -> None:
    with territory_session(staff, "dsi") as session:
        at = datetime.now(UTC)
        for act in (
            lambda: tokens.make(session, " ", None, 30, at),
            lambda: tokens.make(session, "x", None, 0, at),
            lambda: tokens.make(session, "x", None, 5000, at),
        ):
            with pytest.raises(InvalidInput):
                act()
        with pytest.raises(NotFound, match="personne"):
            tokens.make(session, "x", "personne", 30, at)
        with pytest.raises(NotFound):
            tokens.revoke(session, 99, at)


def test_the_web_role_cannot_read_tokens(web: sa.Engine) -> None:
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"), member_session(web, 1, "x") as session:
        session.execute(sa.text("SELECT * FROM tokens"))
