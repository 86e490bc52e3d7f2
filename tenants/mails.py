"""Mails: queued in the transaction of what they tell, sent later by a duty of the worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tenants.tables_notices import Mail


def queue(
    session: Session,
    *,
    to: str,
    template: str,
    language: str,
    facts: Mapping[str, Any],
    entry_id: int | None = None,
) -> None:
    """Queue one mail; it leaves when the transaction is committed, or never.

    template: a file of api/mail/, without its ending; language: `fr` or `en`; facts: what the template shows, in JSON's
    types. `path` (`/orders/12`) becomes a link to the portal. Facts are erased when the mail has left, so that they may
    hold the single-use link of an invitation. entry_id: the audit entry told; a second mail about it to the same
    receiver is the first one.
    """
    row = {"receiver": to, "template": template, "language": language, "facts": dict(facts), "entry_id": entry_id}
    # Inline: the portal may write mails, not read them, so nothing of the row can come back.
    session.execute(insert(Mail.__table__).values(**row).inline().on_conflict_do_nothing())  # type: ignore[arg-type]
