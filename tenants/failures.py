"""Guessing gets slower: each source of failed proofs waits longer after each failure.

A try is counted before it is judged, under a row lock: a hundred guesses at once count as a hundred. An e-mail address
that nobody has waits exactly like one that somebody has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator.errors import TooMany
from tenants import accounts
from tenants.tables_identity import Failure

FORGOTTEN = timedelta(days=1)  # a source that was quiet for so long begins anew
FIRST, LONGEST = timedelta(seconds=30), timedelta(minutes=15)


def of_person(email: str) -> str:
    """The source of guesses at one person's proofs, in whichever writing of the address; what was typed is not kept."""
    return f"person {hashlib.sha256(accounts.written(email).encode()).hexdigest()}"


def of_address(address: str) -> str:
    """The source of guesses from one client; with IPv6 that is its network, in which it has 2⁶⁴ addresses."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return f"address {address}"
    wide = known.version == 6 and known.ipv4_mapped is None
    return f"address {ip_network((known, 64), strict=False) if wide else known}"


def count(session: Session, limits: Mapping[str, int], at: datetime) -> None:
    """Count a try for each source, which may fail so many times before it waits. Raises too_many_tries."""
    session.execute(sa.delete(Failure).where(Failure.last_at < at - FORGOTTEN))
    for source, limit in sorted(limits.items()):  # in one order, so that two tries never wait for each other
        session.execute(insert(Failure).values(source=source, count=0, last_at=at).on_conflict_do_nothing())
        row = session.get_one(Failure, source, with_for_update=True, populate_existing=True)
        if row.locked_until is not None and row.locked_until > at:
            raise _locked(row.locked_until - at)
        row.count, row.last_at = row.count + 1, at
        if row.count >= limit:
            row.locked_until = at + min(FIRST * 2 ** min(row.count - limit, 20), LONGEST)
    session.flush()


def forgive(session: Session, person: str, address: str) -> None:
    """The try was good: the person's failures are forgotten, the address gets its one try back."""
    forgive_person(session, person)
    session.execute(
        sa.update(Failure)
        .where(Failure.source == address)
        .values(count=sa.func.greatest(Failure.count - 1, 0), locked_until=None)
    )


def forgive_person(session: Session, person: str) -> None:
    """The person has proved to be who it is: its failures are forgotten."""
    session.execute(sa.delete(Failure).where(Failure.source == person))


def _locked(wait: timedelta) -> TooMany:
    return TooMany(
        "too_many_tries",
        "Trop d’essais à la suite.",
        "Attendez quelques minutes, ou choisissez un nouveau mot de passe par « Mot de passe oublié ».",
        facts={"retry_after": int(wait.total_seconds()) + 1},
    )
