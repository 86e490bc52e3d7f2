"""Whole lives of applications on the dev cloud; while there are data in one, its administrator comes through Chromium.

One of them each time; CLOCHER_STACKS names others: `CLOCHER_STACKS="school video" ./clocher test -- -k whole_life`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestrator.ansible import PLAYBOOKS
from orchestrator.settings import Settings
from tenants import stacks_trial
from tests.orchestrator.conftest import CLOUDS

pytestmark = [pytest.mark.cloud, pytest.mark.browser, pytest.mark.slow]
LIVED = os.environ.get("CLOCHER_STACKS", "website").split()
LONG = 60_000.0  # milliseconds: a small guest on a busy machine


@dataclass(frozen=True)
class Door:
    """Where one signs in, the fields, and what only those see who are in, on which page."""

    path: str
    name: str
    password: str
    seen: str
    page: str = ""


DOORS = {
    "website": Door("wp-login.php", "#user_login", "#user_pass", "Essai du clocher", "wp-admin/edit.php"),
    "library": Door("login", "#username", "#password", "Chronique du clocher"),
    "school": Door("", "#username", "input[type=password]", "CM2 du clocher", "fr-fr/facility/#/classes"),
    "collaboration": Door("?do=login", "[name=u]", "[name=p]", "Administrer"),
    "video": Door("", "#inputUsername", "#inputPassword", "Essai du clocher"),
}


def enter(page: Page, address: str, door: Door, password: str) -> None:
    """Sign in as admin, and see what was put in."""
    page.set_default_timeout(LONG)
    page.goto(urljoin(address, door.path))
    page.locator(door.name).fill("admin")
    if not page.locator(door.password).is_visible():  # some ask one thing at a time
        page.locator(door.name).press("Enter")
    page.locator(door.password).fill(password)
    with page.expect_navigation():
        page.locator(door.password).press("Enter")
    if door.page:
        page.goto(urljoin(address, door.page))
    expect(page.get_by_text(door.seen).locator("visible=true").first).to_be_visible(timeout=LONG)


@pytest.mark.parametrize("slug", LIVED)
def test_an_application_lives_its_whole_life(settings: Settings, browser: Browser, slug: str) -> None:
    def visit(address: str, secrets: dict[str, str]) -> None:
        with browser.new_context(locale="fr-FR") as context:
            enter(context.new_page(), address, DOORS[slug], secrets["admin_password"])

    folder = PLAYBOOKS / "stacks" / slug
    lived = stacks_trial.live(settings.model_copy(update={"clouds_file": CLOUDS}), folder, print, visit)
    assert [(one.part, one.said) for one in lived if not one.good] == []
    assert any(one.part == "visit" for one in lived)
