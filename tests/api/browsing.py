"""A browser that looks at pages: signed in as somebody, in a language, at a width; and what axe finds there."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.api.people import Person

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
WIDTHS = {1280: 800, 390: 844}
# What the browser says of a status, and htmx of a request that leaving the page cut off, is no fault.
EXPECTED = ("Failed to load resource", "htmx:afterRequest", "htmx:sendAbort", "htmx:sendError")
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()


@dataclass
class Visitor:
    """Somebody's browser. `complaints`: what the console said, of pages that break our own policy."""

    browser: Browser
    portal: str
    person: Person | None = None
    language: str = "fr"
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context: BrowserContext = self.browser.new_context(viewport={"width": 1280, "height": 800})
        cookies = {"clocher_language": self.language}
        if self.person:
            kept = self.person.client().get_cookie("clocher")
            assert kept
            cookies["clocher"] = kept.value
        self.context.add_cookies([{"name": n, "value": v, "url": self.portal} for n, v in cookies.items()])
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self._hear(message.text))
        self.page.on("pageerror", lambda error: self._hear(str(error)))

    def _hear(self, said: str) -> None:
        if not said.startswith(EXPECTED):
            self.complaints.append(said)

    def open(self, path: str) -> Page:
        """Go to a page of the portal. One that is broken is complained of, but where a page is to tell of that."""
        answer = self.page.goto(f"{self.portal}{path}")
        if answer and answer.status >= 500 and not path.startswith("/errors/"):
            self.complaints.append(f"{path} answers {answer.status}")
        return self.page

    def look(self, width: int) -> list[str]:
        """What is wrong with the page as it is now, at a width: what axe finds, what does not fit."""
        self.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        # What a narrow page is made of is the same in every language: of the English one, whether its words fit.
        faults = self._judge() if self.language == "fr" or width == max(WIDTHS) else []
        if self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            faults.append("wider than the screen")
        if self.page.locator("h1").count() != 1:
            faults.append(f"{self.page.locator('h1').count()} h1")
        return faults

    def _judge(self) -> list[str]:
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        # Contrast is three quarters of axe's work, and colours are the same in every language.
        options = {
            "runOnly": RULES,
            "resultTypes": ["violations"],
            "rules": {"color-contrast": {"enabled": self.language == "fr"}},
        }
        found: list[dict[str, Any]] = self.page.evaluate("how => axe.run(how).then(r => r.violations)", options)
        return [f"{one['id']}: {', '.join(str(node['target'][0]) for node in one['nodes'][:3])}" for one in found]

    def close(self) -> None:
        self.context.close()
