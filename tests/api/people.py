"""People with accounts: made as in real life, by an invitation that is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from unicodedata import normalize

from apiflask import APIFlask
from flask.testing import FlaskClient

from orchestrator.database import door_session, territory_session
from tenants import accounts, invitations, reading, sessions, tokens
from tenants.tables_identity import SCOPES

PASSWORD = "quatre girafes bleues dansent"


@dataclass(frozen=True)
class Person:
    """Somebody with an account, who acts for one house; member_id None: the territory."""

    app: APIFlask
    account_id: int
    email: str
    member_id: int | None

    def client(self) -> FlaskClient:
        """A browser in which the person is signed in; `csrf(client)` is the word its forms send."""
        at = datetime.now(UTC)
        with door_session(self.app.extensions["engines"].door, "tests") as session:
            account = accounts.find(session, self.account_id)
            secret = sessions.start(session, account, at, 12, address="192.0.2.1", device="tests")
        client = self.app.test_client()
        client.set_cookie("clocher", secret)
        return client

    def token(self, scopes: Iterable[str] = SCOPES) -> str:
        """The secret of a new token of the person."""
        with door_session(self.app.extensions["engines"].door, "tests") as session:
            return tokens.make(
                session, "tests", 30, datetime.now(UTC), member_id=self.member_id, scopes=list(scopes),
                account_id=self.account_id,
            )[1]  # fmt: skip


def csrf(client: FlaskClient) -> str:
    """The word that the forms of this browser's session send."""
    cookie = client.get_cookie("clocher")
    assert cookie
    with door_session(client.application.extensions["engines"].door, "tests") as session:
        at = datetime.now(UTC)
        known = sessions.find(session, cookie.value, at, at - datetime.min.replace(tzinfo=UTC))
    assert known
    return known.csrf


def invite(app: APIFlask, name: str, member: str | None, roles: Iterable[str]) -> Person:
    """A person who holds `roles` in a member (a slug), or in the territory; the e-mail is made from `name`."""
    engines, at = app.extensions["engines"], datetime.now(UTC)
    plain = normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    email = f"{plain.replace(' ', '.')}@{member or 'agglo'}.fr"
    with territory_session(engines.staff, "tests") as session:
        member_id = reading.member(session, member).id if member else None
        invited = invitations.invite(session, email, name, "fr", member_id, set(roles), at)
    assert invited.secret
    invitations.accept(engines.door, app.extensions["hasher"], invited.secret, PASSWORD, at)
    return Person(app, invited.account_id, email, member_id)
