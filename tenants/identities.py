"""Who an OpenID provider says somebody is, and which account that is. Roles are ours: no claim ever gives one.

ProConnect's `sub` is of one provider of identity behind it, so accounts are linked by (issuer, sub), and for the first
time by an e-mail address that the provider has verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session
from stdnum.exceptions import ValidationError
from stdnum.fr import siret as siret_number

from orchestrator import audit
from orchestrator.errors import Forbidden, Unauthenticated
from orchestrator.tables import Member
from tenants import accounts
from tenants.tables_identity import Account, AccountRole, Identity


@dataclass(frozen=True)
class Claims:
    """What a provider vouches for; email only if the provider has verified it, siret as it was sent."""

    issuer: str
    subject: str
    email: str | None
    name: str
    siret: str | None = None


def sign_in(session: Session, claims: Claims, at: datetime) -> Account:
    """The account of somebody whom a provider vouches for; made on the first time, pending until it is given a role.

    At the door. Raises account_closed, no_verified_email, invalid_email, email_not_ascii, invalid_siret,
    other_organisation.
    """
    siret = _checked(claims.siret)
    known = session.get(Identity, (claims.issuer, claims.subject))
    account = session.get_one(Account, known.account_id) if known else _by_email(session, claims, siret)
    if account.state == "closed":
        raise Forbidden("account_closed", "Ce compte est fermé.", "Adressez-vous à la DSI de l’agglomération.")
    _check_organisation(session, account, siret)
    if known is None:
        session.add(Identity(issuer=claims.issuer, subject=claims.subject, account_id=account.id))
        audit.record(session, "account.link", f"account {account.id}", detail={"issuer": claims.issuer})
    if account.state == "invited":
        account.state = "active"
        audit.record(session, "account.accept", f"account {account.id}")
    if account.state == "pending":
        account.siret = siret
    session.flush()
    return account


def _by_email(session: Session, claims: Claims, siret: str | None) -> Account:
    if claims.email is None:
        raise Forbidden(
            "no_verified_email",
            "Votre fournisseur d’identité n’a pas vérifié votre adresse électronique.",
            "Faites-la vérifier chez lui, puis réessayez.",
        )
    account = accounts.by_email(session, claims.email)
    if account is None:
        email = accounts.normal(claims.email)
        name = "".join(filter(str.isprintable, claims.name)).strip()  # the provider may let people choose any
        account = Account(email=email, name=name[:100] or email[:100], state="pending", siret=siret)
        session.add(account)
        session.flush()
        audit.record(session, "account.arrive", f"account {account.id}", detail={"siret": siret})
    return account


def _checked(siret: str | None) -> str | None:
    if siret is None:
        return None
    try:
        return str(siret_number.validate(siret))
    except ValidationError as error:
        raise Unauthenticated(
            "invalid_siret", "Le SIRET que donne votre fournisseur d’identité n’est pas valable.", "Prévenez la DSI."
        ) from error


def _check_organisation(session: Session, account: Account, siret: str | None) -> None:
    """Who has moved to another organisation does not take the roles of the former one along.

    A provider that names no organisation (no SIRET) is not judged by one; nor is who holds a role of the territory.
    """
    rows = session.execute(
        sa.select(AccountRole.member_id, Member.siren)
        .outerjoin(Member, Member.id == AccountRole.member_id)
        .where(AccountRole.account_id == account.id)
    ).all()
    if siret is None or not rows or any(row.member_id is None or row.siren == siret[:9] for row in rows):
        return
    raise Forbidden(
        "other_organisation",
        "Votre fournisseur d’identité vous dit d’un autre organisme que ceux où vous avez un rôle ici.",
        "Demandez un rôle pour votre organisme à la DSI.",
    )
