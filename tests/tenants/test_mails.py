"""A mail is queued with what it tells, leaves once, and what it said is then forgotten."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from tenants import mails
from tenants.tables_notices import Mail
from tests.tenants.ordering import member

ASKED = {"to": "camille@brevaux.example", "template": "reset", "language": "fr"}


def test_the_portal_queues_what_it_cannot_read(owner: sa.Engine, web: sa.Engine, staff: sa.Engine) -> None:
    brevaux = member(owner)
    with member_session(web, brevaux, "agent") as session:
        mails.queue(session, **ASKED, facts={"path": "/reset/secret"})
    with territory_session(owner, "tests") as session:
        queued = session.scalars(sa.select(Mail)).one()
        assert (queued.receiver, queued.state, queued.facts) == (ASKED["to"], "queued", {"path": "/reset/secret"})
    for engine in (web, staff):
        with (
            pytest.raises(sa.exc.ProgrammingError, match="permission denied"),
            territory_session(engine, "x") as session,
        ):
            session.scalars(sa.select(Mail.facts)).all()


def test_what_is_rolled_back_is_not_told(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    with pytest.raises(ZeroDivisionError), member_session(web, brevaux, "agent") as session:
        mails.queue(session, **ASKED, facts={})
        1 / 0  # noqa: B018
    with territory_session(owner, "tests") as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Mail)) == 0
