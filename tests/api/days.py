"""What a day at Clocher stands on: app, a real worker with all its duties, people who sign in, their mails and keys.

The cloud is the tests' dev cloud; the worker is the command that runs in production.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import cast

import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from api.translations import catalogue
from orchestrator import cloud, cloud_projects, cloud_routing, places
from orchestrator.database import territory_session
from orchestrator.settings import ROOT, Settings
from orchestrator.tables import Place
from tests.api.browsing import EXPECTED, WIDTHS
from tests.api.people import PASSWORD
from tests.orchestrator import flowing
from tests.orchestrator.conftest import QUOTAS

SOON, BUILT = 15_000, 150_000  # milliseconds: for a page; for something in the cloud


def say(language: str, french: str) -> str:
    """A sentence of ours, in a language."""
    return catalogue(language).gettext(french)


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """`clocher worker` while it is needed; what it says is in worker.log of the state folder."""
    chosen = settings.model_dump(mode="json", exclude_defaults=True, exclude={"secret_key", "database_url"})
    given = {f"CLOCHER_{name.upper()}": v if isinstance(v, str) else json.dumps(v) for name, v in chosen.items()}
    assert settings.secret_key and settings.database_url
    given["CLOCHER_SECRET_KEY"] = settings.secret_key.get_secret_value()
    given["CLOCHER_DATABASE_URL"] = settings.database_url.get_secret_value()
    command = [sys.executable, "-m", "api", "worker"]
    log = (settings.state_dir / "worker.log").open("wb")
    with log, subprocess.Popen(command, cwd=ROOT, env=os.environ | given, stdout=log, stderr=log) as worker:
        try:
            yield
        finally:
            worker.terminate()
            try:
                worker.wait(30)
            finally:
                worker.kill()


def settle(settings: Settings, owner: sa.Engine, member_id: int, slug: str, cidr: str) -> None:
    """Give a member its place in the cloud, as `clocher members apply` does."""
    site = places.open_site(cloud.connect(settings))
    wanted = places.Wanted(places.name_for(settings, slug), slug.title(), cidr, (), QUOTAS)
    ids = places.visit(places.Walk(site, wanted, act=True))
    with territory_session(owner, "tests") as session:
        session.add(Place(member_id=member_id, **{name: getattr(ids, name) for name in ids.__dataclass_fields__}))


def vacate(settings: Settings, *slugs: str) -> None:
    """Take members' services and places out of the cloud."""
    control = cloud.connect(settings)
    site = places.open_site(control)
    for name in (places.name_for(settings, slug) for slug in slugs):
        project = cloud_projects.find_project(site.domain, name)
        if project:
            flowing.clear(settings, places.Ids(project.id, "", "", "", ""))
            places.remove(site, name)


@dataclass
class Key:
    """Somebody's SSH key, and what one does with it."""

    path: Path

    def __post_init__(self) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.path.name, "-f", str(self.path)]
        subprocess.run(command, check=True, timeout=30)

    @property
    def public(self) -> str:
        return self.path.with_suffix(".pub").read_text().strip()

    def run(self, command: str, line: str) -> str:
        """Connect by the command that a page shows (`ssh admin@…`), and run a line there."""
        program, there = command.split()
        assert program == "ssh"
        options = ("BatchMode=yes", "ConnectTimeout=20", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null",
                   "LogLevel=ERROR", "IdentitiesOnly=yes")  # fmt: skip
        chosen = [word for option in options for word in ("-o", option)]
        done = subprocess.run(
            [program, "-i", str(self.path), *chosen, there, line],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout.strip()


@dataclass
class Office:
    """Where people sit down at a browser. `complaints`: what the browsers' consoles said."""

    browser: Browser
    portal: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, language: str = "fr", width: int = 1280, *, scripts: bool = True) -> Page:
        """A fresh browser."""
        size = {"width": width, "height": WIDTHS[width]}
        context = self.browser.new_context(
            viewport=size, locale="en-GB" if language == "en" else "fr-FR", java_script_enabled=scripts
        )  # type: ignore[arg-type]  # its own TypedDict
        context.set_default_timeout(SOON)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: self._hear(said.text))
        page.on("pageerror", lambda error: self._hear(str(error)))
        return page

    def _hear(self, said: str) -> None:
        if not said.startswith(EXPECTED):
            self.complaints.append(said)

    def enter(
        self, email: str, language: str = "fr", width: int = 1280, *, scripts: bool = True, house: str = "Brevaux"
    ) -> Page:
        """Somebody signs in; their home page."""
        page = self.open(language, width, scripts=scripts)
        page.goto(self.portal)
        page.get_by_label(say(language, "Adresse électronique"), exact=True).fill(email)
        page.get_by_label(say(language, "Mot de passe"), exact=True).fill(PASSWORD)
        page.get_by_role("button", name=say(language, "Se connecter"), exact=True).click()
        expect(page.get_by_role("heading", name=house, level=1)).to_be_visible()
        if page.locator("html").get_attribute("lang") != language:  # the account's own language is another
            page.get_by_role("link", name=re.compile("English")).click()
            expect(page.locator("html")).to_have_attribute("lang", language)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()


def show(page: Page, name: str) -> None:
    """Nothing on the page is wider than the screen."""
    page.wait_for_load_state()
    wide = page.evaluate(
        "[...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 120)).slice(0, 6)"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is too wide: {wide}"


def state(page: Page, word: str, *, within: int = BUILT) -> None:
    """Wait until the page says, in its title and by itself, that what it shows is so."""
    expect(page.locator("h1 .state")).to_have_text(word, timeout=within)


def go(page: Page, *links: str) -> None:
    """Follow links of the menus, by the open menu of a phone or the one of a desk."""
    for name in links:
        page.wait_for_load_state()  # before its style sheet has come, a page shows both menus
        small = page.locator("#menu details.small")
        if small.is_visible():
            small.locator("summary").click()
        menu = small if small.is_visible() else page.get_by_role("navigation")
        with page.expect_navigation():
            menu.get_by_role("link", name=name, exact=True).first.click()


def mail(settings: Settings, to: str, words: str) -> EmailMessage:
    """The mail that somebody got with these words, once it is there (without SMTP they are files)."""

    def found() -> EmailMessage | None:
        for file in sorted((settings.state_dir / "mails").glob("*.eml")):
            letter = cast(EmailMessage, message_from_bytes(file.read_bytes(), policy=default))  # type: ignore[arg-type]
            if to in str(letter["To"]) and words in text(letter):
                return letter
        return None

    letter = flowing.eventually(found, f"a mail to {to} with « {words} »", 30)
    assert letter
    return letter


def text(letter: EmailMessage) -> str:
    """Its subject and plain text."""
    plain = letter.get_body(("plain",))
    assert plain
    return f"{letter['Subject']}\n{plain.get_content()}"


def link(letter: EmailMessage) -> str:
    """The path that the mail leads to."""
    found = re.search(r"https?://[^/\s]+(/\S*)", text(letter))
    assert found, text(letter)
    return found[1]


def reach(page: Page, wanted: Locator, typed: str = "") -> None:
    """Press Tab until the focus is there, then type."""
    expect(wanted).to_be_visible()
    for _ in range(80):
        if wanted.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(wanted).to_be_focused()
    page.keyboard.type(typed)


def press(page: Page, wanted: Locator) -> None:
    """Go there by Tab, and press Enter."""
    reach(page, wanted)
    page.keyboard.press("Enter")


def shut(settings: Settings, slug: str) -> None:
    """Somebody takes the rules that let us in by TCP out of the member's security group, in the cloud itself."""
    control, name = cloud.connect(settings), places.name_for(settings, slug)
    project = cloud_projects.find_project(places.open_site(control).domain, name)
    assert project
    group = cloud_routing.find_security_group(control.project(project.id), name)
    assert group
    ours = [
        rule_id for rule_id, rule in group.rules
        if rule and rule.protocol == "tcp" and rule.remote in settings.management_networks
    ]  # fmt: skip
    assert ours
    for rule_id in ours:
        cloud_routing.remove_rule(control.project(project.id), rule_id)


def beside(page: Page, name: str) -> None:
    """Follow a link of the menu at the side."""
    page.locator("nav.side").get_by_role("link", name=name, exact=True).click()


def proved(page: Page, words: Callable[[str], str], house: str) -> None:
    """A statement as a file, then a line of it down to the intervals."""
    show(page, "day-statement")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    rows = list(csv.reader(download.value.path().read_text("utf-8-sig").splitlines(), delimiter=";"))
    assert len(rows) > 3
    assert house in str(rows) and ("Orgelune" in str(rows)) == (house == "Orgelune")
    page.locator("main table a").first.click()
    expect(page.get_by_text(words("Chaque intervalle que cette ligne compte, à la seconde."))).to_be_visible()
    expect(page.locator("main tbody tr").first).to_be_visible()
    show(page, "day-intervals")
