"""Whole lives of applications on the dev cloud; while there are data in one, its administrator comes through Chromium.

Two of them each time, beside each other; CLOCHER_STACKS names others:
`CLOCHER_STACKS="school video" ./clocher test -- -k whole_lives`.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from urllib.parse import urljoin

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from orchestrator.ansible import PLAYBOOKS
from orchestrator.errors import ClocherError
from orchestrator.settings import Settings
from tenants import stacks_trial
from tenants.stacks_town import Address
from tests.orchestrator.conftest import CLOUDS

pytestmark = [pytest.mark.cloud, pytest.mark.browser, pytest.mark.slow]
LIVED = os.environ.get("CLOCHER_STACKS", "website library").split()
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
    "school": Door(
        "", "#username input, input#username", "input[type=password]", "CM2 du clocher", "fr-fr/facility/#/classes"
    ),
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


def let_in(browser: Browser, address: str, door: Door, password: str) -> Page:
    """Who signed in. Anew when an interface of another dev cloud came or went: then Chromium drops its pages."""
    for last in (False, False, True):
        page = browser.new_context(locale="fr-FR").new_page()
        try:
            enter(page, address, door, password)
            break
        except Error as error:
            if last or "ERR_NETWORK_CHANGED" not in str(error):
                raise
    return page


def believing(address: Address) -> list[str]:
    """Options by which Chromium knows the way to the name, and its certificate: the one that the authority vouches for.

    Chromium still refuses any other certificate that it can't verify.
    """
    certificate = x509.load_der_x509_certificate(address.ask(address.path).certificate)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return [
        f"--host-resolver-rules=MAP {address.host} {address.machine}, MAP * ~NOTFOUND",
        f"--ignore-certificate-errors-spki-list={pin}",
    ]


def visit(slug: str, address: Address, secrets: dict[str, str]) -> None:
    """Its administrator comes. In a Chromium of its own: each application has its thread, and goes on alone."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", *believing(address)]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=options)
        try:
            page = let_in(browser, address.url, DOORS[slug], secrets["admin_password"])
            assert page.evaluate("[isSecureContext, location.host]") == [True, address.host]
        except (AssertionError, Error) as error:
            raise ClocherError("not_let_in", "L’application n’a pas ouvert.", detail=str(error)) from error
        finally:
            browser.close()


def test_applications_live_their_whole_lives(settings: Settings) -> None:
    folders = [PLAYBOOKS / "stacks" / slug for slug in LIVED]
    lived = stacks_trial.live(settings.model_copy(update={"clouds_file": CLOUDS}), folders, print, visit)
    assert [(one.stack, one.part, one.said) for one in lived if not one.good] == []
    assert [one.stack for one in lived if one.part == "visit"] == LIVED
