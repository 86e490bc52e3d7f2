"""The main pages of a valley that lives, on a desk and on a phone: nothing that axe finds; nowhere too wide.

CLOCHER_SCREENS=1 also draws some of them into docs/screens, which docs/tour.md and the README show.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from playwright.sync_api import Browser

from orchestrator.settings import Settings
from tests.api.browsing import WIDTHS, Visitor
from tests.api.screen import MEMBER, TERRITORY
from tests.api.valley import live

pytestmark = pytest.mark.browser
DRAWN = Path(__file__).parent.parent.parent / "docs" / "screens"
TABLET = 768
TALLEST = {1280: 1000, 390: 1150}  # pixels, by width: what is below is not shown


@dataclass(frozen=True)
class Picture:
    """A page (a path, or a name of `Valley.places`) as somebody sees it, the widths at which it is drawn, and how much
    of it, if not as much as of the others.
    """

    name: str
    place: str
    who: str = MEMBER
    language: str = "fr"
    drawn: tuple[int, ...] = (1280,)
    tallest: int = 0


PICTURES = (
    Picture("home", "/", drawn=(1280, 390)),
    Picture("order", "/catalogue/vm-medium"),
    Picture("operation", "flow", drawn=(390,)),
    Picture("service", "service"),
    Picture("applications", "/catalogue"),
    Picture("application", "application", tallest=2250),
    Picture("costs", "/costs", language="en"),
    Picture("statement", "statement", drawn=(1280, 390)),
    Picture("decision", "order", TERRITORY),
    Picture("repair", "held", TERRITORY),
    Picture("drift", "/admin/drift", TERRITORY),
    Picture("entry", "entry", TERRITORY, "en"),
    Picture("capacity", "/admin/capacity", TERRITORY, "en"),
    Picture("tariff", "tariff", TERRITORY),
    Picture("month", "month", TERRITORY),
    Picture("simulation", "/finance/keys/simulate?weights.population=30&weights.equal=70", TERRITORY),
    *(
        Picture(path, path, TERRITORY, drawn=())
        for path in ("/", "/admin/members", "/services", "/orders", "/costs", "/statements", "/admin/quotas",
                     "/admin/orders", "/admin/flows", "/admin/catalogue", "/admin/prices", "/admin/audit",
                     "/finance/statements", "/finance/energy")
    ),
)  # fmt: skip


def test_the_pictures(app: APIFlask, owner: sa.Engine, settings: Settings, browser: Browser, portal: str) -> None:
    valley, faults = live(app, owner, settings), []
    for who in (MEMBER, TERRITORY):
        for language in ("fr", "en"):
            visitor = Visitor(browser, portal, valley.people[who], language)
            for picture in (one for one in PICTURES if (one.who, one.language) == (who, language)):
                visitor.open(valley.places.get(picture.place, picture.place))
                if "internal_error" in visitor.page.inner_text("main"):
                    faults.append(f"{picture.name}: {visitor.page.inner_text('main')}")
                visitor.page.set_viewport_size({"width": TABLET, "height": 1024})
                if visitor.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                    faults.append(f"{picture.name} {TABLET}: wider than the screen")
                for width in WIDTHS:
                    faults += [f"{picture.name} {width}: {fault}" for fault in visitor.look(width)]
                    if width in picture.drawn and os.environ.get("CLOCHER_SCREENS"):
                        draw(visitor, picture, width)
            faults += visitor.complaints
            visitor.close()
    assert not faults, "\n".join(faults)


def draw(visitor: Visitor, picture: Picture, width: int) -> None:
    """What is on the page now, into docs/screens."""
    DRAWN.mkdir(exist_ok=True)
    tall = visitor.page.evaluate("document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": min(tall, picture.tallest or TALLEST[width])}
    path = DRAWN / f"{picture.name}-{picture.language}-{width}.png"
    visitor.page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]
