"""Long lists a part at a time: `?page=2`; `?all=1` gives the whole on one page, for printing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

from flask import request

from tenants import reading

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Part:
    """What of a list a page shows: from `start` (0 is the first), before `stop`, of `total`.

    previous, next, whole: addresses; None where there is no such part.
    """

    start: int
    stop: int
    total: int
    previous: str | None = None
    next: str | None = None
    whole: str | None = None

    def of(self, things: Sequence[Thing]) -> Sequence[Thing]:
        """Those of all the things that the page shows."""
        return things[self.start : self.stop]


def after() -> int | None:
    """The row after which a list goes on, if `?after=` names one; a number that no row can have is cut to one."""
    given = request.args.get("after", type=int)
    return None if given is None else max(0, min(given, reading.BEYOND))


def part(total: int, size: int) -> Part:
    """The part of a list of `total` things that the request asks for; beyond the end, the last one."""
    pages = max(1, -(-total // size))
    if request.args.get("all") == "1" or pages == 1:
        return Part(0, total, total)
    number = min(max(1, request.args.get("page", 1, type=int)), pages)
    return Part(
        start=(number - 1) * size,
        stop=min(number * size, total),
        total=total,
        previous=_address(page=number - 1) if number > 1 else None,
        next=_address(page=number + 1) if number < pages else None,
        whole=_address(all=1),
    )


def _address(**chosen: int) -> str:
    """The present address with another part."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name not in ("page", "all", "lang")]
    return f"{request.path}?{urlencode([*kept, *chosen.items()], quote_via=quote)}"
