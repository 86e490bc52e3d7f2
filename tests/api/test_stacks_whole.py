"""Whole lives of applications on the dev cloud; while there are data in one, somebody comes through Chromium.

Two of them each time; CLOCHER_STACKS names those to live instead: `CLOCHER_STACKS="school video"`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestrator.ansible import PLAYBOOKS
from orchestrator.settings import Settings
from tenants import stacks_trial
from tests.orchestrator.conftest import CLOUDS

pytestmark = [pytest.mark.cloud, pytest.mark.browser, pytest.mark.slow]
LIVED = os.environ.get("CLOCHER_STACKS", "website collaboration").split()
SLOW = 30_000.0  # milliseconds: a small guest on a busy machine


def website(page: Page, password: str) -> None:
    page.goto(page.url + "wp-login.php")
    page.get_by_label("Identifiant", exact=False).first.fill("admin")
    page.locator("#user_pass").fill(password)
    page.get_by_role("button", name="Se connecter").click()
    expect(page.get_by_role("heading", name="Tableau de bord")).to_be_visible(timeout=SLOW)
    page.get_by_role("link", name="Articles", exact=True).first.click()
    expect(page.get_by_role("link", name="Essai du clocher").first).to_be_visible(timeout=SLOW)


def library(page: Page, password: str) -> None:
    page.locator("#username").fill("admin")
    page.locator("#password").fill(password)
    page.locator("button[name=submit]").click()
    expect(page.get_by_text("Chronique du clocher").first).to_be_visible(timeout=SLOW)


def school(page: Page, password: str) -> None:
    page.get_by_label("Nom d'utilisateur", exact=False).or_(page.get_by_label("Username")).first.fill("admin")
    page.get_by_role("button").filter(has_text="Suivant").or_(page.get_by_role("button", name="Next")).first.click()
    page.locator("input[type=password]").fill(password)
    page.locator("button[type=submit]").last.click()
    expect(page.get_by_text("CM2 du clocher").first).to_be_visible(timeout=SLOW)


def collaboration(page: Page, password: str) -> None:
    page.goto(page.url.partition("?")[0] + "?do=login")
    page.locator("input[name=u]").fill("admin")
    page.locator("input[name=p]").fill(password)
    page.locator("button[type=submit]", has_text="Connexion").or_(page.locator("#dw__login button")).first.click()
    expect(page.get_by_text("Administrer").first).to_be_visible(timeout=SLOW)


def video(page: Page, password: str) -> None:
    page.locator("#inputUsername").fill("admin")
    page.locator("#inputPassword").fill(password)
    page.get_by_role("button", name="Connexion").or_(page.locator("#loginForm button[type=submit]")).first.click()
    expect(page.get_by_text("Essai du clocher").first).to_be_visible(timeout=SLOW)


ENTER: dict[str, Callable[[Page, str], None]] = {
    "website": website,
    "library": library,
    "school": school,
    "collaboration": collaboration,
    "video": video,
}


@pytest.mark.parametrize("slug", LIVED)
def test_an_application_lives_its_whole_life(settings: Settings, browser: Browser, slug: str) -> None:
    def visit(address: str, secrets: dict[str, str]) -> None:
        context = browser.new_context(locale="fr-FR")
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.goto(address)
        ENTER[slug](page, secrets["admin_password"])
        context.close()

    folder = PLAYBOOKS / "stacks" / slug
    lived = stacks_trial.live(settings.model_copy(update={"clouds_file": CLOUDS}), folder, print, visit)
    assert [(one.part, one.said) for one in lived if not one.good] == []
    assert any(one.part == "visit" for one in lived)
