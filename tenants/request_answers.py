"""Request keys: the same request of the same asker again gets the answer of the first, and nothing happens twice.

Key and answer are written in the transaction of what was done: either both are there, or neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from orchestrator.steps import Runtime
from tenants.tables_requests import RequestAnswer

KEPT = timedelta(hours=24)


@dataclass(frozen=True)
class Key:
    """Whose request it is, its key, and the digest of what it says. member_id None: for the territory."""

    member_id: int | None
    asker: str
    request_key: str
    digest: bytes


def find(session: Session, key: Key, at: datetime) -> RequestAnswer | None:
    """The answer to the same request, if there was one; until the transaction ends nobody else uses the key.

    Raises Conflict request_key_reused when the key belongs to another request.
    """
    name = f"{key.member_id} {key.asker} {key.request_key}"
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 8))))
    found = session.scalar(sa.select(RequestAnswer).where(*_same(key)))
    if found is None or found.at < at - KEPT:
        return None
    if found.digest != key.digest:
        raise Conflict(
            "request_key_reused",
            "Cette clé de requête a déjà servi à une autre requête.",
            "Prenez une clé nouvelle.",
        )
    return found


def keep(session: Session, key: Key, status: int, answer: bytes, at: datetime) -> None:
    """Remember the answer (sealed by the caller). Needs `find` first."""
    session.execute(sa.delete(RequestAnswer).where(*_same(key)))  # an old one, if any
    session.add(
        RequestAnswer(member_id=key.member_id, asker=key.asker, request_key=key.request_key, digest=key.digest,
                      status=status, answer=answer, at=at)
    )  # fmt: skip
    session.flush()


def _same(key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        RequestAnswer.member_id.is_not_distinct_from(key.member_id),
        RequestAnswer.asker == key.asker,
        RequestAnswer.request_key == key.request_key,
    )


def forget(runtime: Runtime) -> None:
    """A worker's duty: delete what is older than a day."""
    with territory_session(runtime.engine, "worker") as session:
        session.execute(sa.delete(RequestAnswer).where(RequestAnswer.at < datetime.now(UTC) - KEPT))
