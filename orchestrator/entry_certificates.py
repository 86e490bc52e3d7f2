"""The certificates of the hosts that the entry leads to, as it tells them: what is wrong with one, who learns of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import ClocherError, Text

LATE = timedelta(days=14)  # it should have been renewed long before
# missing: visitors are shown another host's; late: it ends soon; refused: asked for in vain, and all else is well.
TROUBLES = ("missing", "expired", "late", "refused")


@dataclass(frozen=True)
class Certificate:
    """One host's. since, until: None as long as it has none. trouble: one of TROUBLES, or "" when all is well.

    refused_at, why: when the authority was last asked in vain, and its words; code: `silent` when it did not answer.
    """

    host: str
    issuer: str | None
    since: datetime | None
    until: datetime | None
    trouble: str
    refused_at: datetime | None
    code: str | None
    why: str | None


def read(told: Sequence[dict[str, Any]], at: datetime) -> list[Certificate]:
    """What the entry told, by host, as it is at `at`."""
    return sorted((_one(one, at) for one in told), key=lambda one: one.host)


def _one(told: dict[str, Any], at: datetime) -> Certificate:
    since, until = (datetime.fromisoformat(told[name]) if told[name] else None for name in ("since", "until"))
    refused = told["refused"] or {}
    refused_at = datetime.fromtimestamp(refused["at"], UTC) if refused else None
    trouble = _trouble(since, until, bool(refused), at)
    return Certificate(
        told["host"], told["issuer"], since, until, trouble, refused_at, refused.get("code"), refused.get("why")
    )


def _trouble(since: datetime | None, until: datetime | None, refused: bool, at: datetime) -> str:
    if since is None or until is None:
        return "missing"
    if until <= at:
        return "expired"
    # Renewed when a third of its life is left, so one of six days is not late all its life.
    if until - at < min(LATE, (until - since) / 4):
        return "late"
    return "refused" if refused else ""


def tell(
    session: Session, service_id: int, member_id: int, before: Sequence[Certificate], now: Sequence[Certificate]
) -> None:
    """Write in the trail which hosts have trouble that they had not before. A refusal alone is no news: it may pass."""
    known = {one.host: one.trouble for one in before}
    news = [one for one in now if one.trouble not in ("", "refused") and known.get(one.host) != one.trouble]
    if news:
        hosts = [
            {"host": one.host, "trouble": one.trouble, "until": one.until and one.until.isoformat(), "why": one.why}
            for one in news
        ]
        audit.record(session, "certificate.late", f"service {service_id}", member_id=member_id, detail={"hosts": hosts})


def trusted(file: Path | None) -> str | None:
    """What vouches for an ACME authority that is not a public one (PEM). Raises ClocherError no_entry_authority."""
    if file is None:
        return None
    try:
        return file.read_text()
    except OSError as error:
        raise ClocherError(
            "no_entry_authority",
            Text("Le fichier {file}, de l’autorité de l’entrée web, ne peut pas être lu.", file=str(file)),
            "La DSI règle CLOCHER_ENTRY_AUTHORITY pour les exécutants, puis reprend l’opération.",
            detail=str(error),
        ) from error
