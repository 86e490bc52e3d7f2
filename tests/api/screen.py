"""What one state of a page is, and who looks at it; `screens.py` lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from tests.api.owned import World

NOBODY, MEMBER, TERRITORY = "nobody", "member", "territory"


@dataclass(frozen=True)
class Screen:
    """A state of a page. prepare: makes what must be there, and may give the path; act: what is done in the browser."""

    name: str
    path: str
    who: str = MEMBER
    prepare: Callable[[World], str | None] | None = None
    act: Callable[[Page], None] | None = None


def inside(make: Callable[[Session, int], str | None]) -> Callable[[World], str | None]:
    """A `prepare` that runs in a transaction of the territory, with the member's id."""

    def prepare(world: World) -> str | None:
        with territory_session(world.owner, "account 1 (Hélène Aubertin)") as session:
            return make(session, world.members["brevaux"])

    return prepare


def press(*names: str) -> Callable[[Page], None]:
    """Press buttons one after the other, as a form is sent whose browser checks nothing."""

    def act(page: Page) -> None:
        for name in names:
            page.evaluate("document.querySelectorAll('form').forEach(form => { form.noValidate = true; })")
            with page.expect_navigation():
                page.locator(f"main button{name}" if name[:1] in ".[" else name).first.click()

    return act


def typed(**fields: str) -> Callable[[Page], None]:
    """Type into fields (by the name of the field, `.` written `__`), then send the form that they are in."""

    def act(page: Page) -> None:
        page.evaluate("document.querySelectorAll('form').forEach(form => { form.noValidate = true; })")
        for name, text in fields.items():
            field = page.locator(f'main [name="{name.replace("__", ".")}"]').first
            field.fill(text)
        with page.expect_navigation():
            field.evaluate("field => field.form.querySelector('button:not([type=button])').click()")

    return act
