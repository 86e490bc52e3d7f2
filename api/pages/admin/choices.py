"""What select boxes offer, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable

from flask_babel import gettext

from api.language import word


def choices(codes: Iterable[str], table: str, *, any: bool = False) -> list[tuple[str, str]]:
    """(code, word) for a select box; `any`: with a first choice that chooses nothing."""
    first = [("", gettext("Indifférent"))] if any else []
    return first + [(code, word(code, table)) for code in codes]
