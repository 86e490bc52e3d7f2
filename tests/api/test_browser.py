"""A commune's agent in a real browser: signs in and sees steps advance, on a phone, on a desk, without JavaScript."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from orchestrator.database import territory_session
from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Service
from tests.api.conftest import Caller
from tests.api.people import PASSWORD
from tests.tenants.ordering import KEY, wish

pytestmark = pytest.mark.browser
DEADLINE = 10_000  # milliseconds for the page to show what the database holds


class Worker:
    """Writes what the worker writes while a flow runs."""

    def __init__(self, owner: sa.Engine, flow_id: int) -> None:
        self.owner, self.flow_id = owner, flow_id
        with territory_session(owner, "worker") as session:
            flow = session.get_one(Flow, flow_id)
            self.of = {"flow_id": flow.id, "member_id": flow.member_id}
            self.service_id = flow.service_id
            flow.state, flow.started_at = "running", datetime.now(UTC)

    def begin(self, step: str) -> None:
        with territory_session(self.owner, "worker") as session:
            session.execute(
                sa.update(FlowStep).where(FlowStep.state == "running").values(state="done", ended_at=sa.func.now())
            )
            session.add(FlowStep(**self.of, name=step, state="running"))

    def task(self, name: str, outcome: str) -> None:
        with territory_session(self.owner, "worker") as session:
            uuid = sa.func.gen_random_uuid()
            session.add(AnsibleEvent(**self.of, uuid=uuid, event="runner_on_ok", task=name, outcome=outcome))

    def end(self, state: str, service: str, sentence: str | None = None) -> None:
        step = "done" if state == "done" else "failed"
        with territory_session(self.owner, "worker") as session:
            session.execute(
                sa.update(FlowStep).where(FlowStep.state == "running").values(state=step, ended_at=sa.func.now())
            )
            ended = {"state": state, "ended_at": sa.func.now(), "error_sentence": sentence}
            session.execute(sa.update(Flow).where(Flow.id == self.flow_id).values(**ended))
            session.execute(sa.update(Service).where(Service.id == self.service_id).values(state=service))


def open_page(browser: Browser, portal: str, caller: Caller, width: int, *, scripts: bool = True) -> Page:
    context = browser.new_context(viewport={"width": width, "height": 800}, locale="fr-FR", java_script_enabled=scripts)
    context.set_default_timeout(DEADLINE)
    page = context.new_page()
    page.goto(portal)
    assert caller.person
    page.get_by_label("Adresse électronique").fill(caller.person.email)
    page.get_by_label("Mot de passe").fill(PASSWORD)
    page.get_by_role("button", name="Se connecter", exact=True).click()
    expect(page.get_by_role("heading", name="Brevaux", level=1)).to_be_visible()
    return page


def no_overflow(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", [390, 1280])
def test_steps_advance_before_the_eyes(
    browser: Browser, portal: str, brevaux: Caller, owner: sa.Engine, width: int
) -> None:
    page = open_page(browser, portal, brevaux, width)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    expect(page.get_by_text("Aucun service pour l’instant")).to_be_visible()
    worker = Worker(owner, brevaux.place(wish("site-mairie")).json["flow_id"])
    page.reload()
    card = page.get_by_role("article", name="site-mairie")
    worker.begin("port")
    expect(card.get_by_text("Brancher le réseau")).to_be_visible(timeout=DEADLINE)
    worker.begin("build")
    expect(card.locator(".step-done", has_text="Brancher le réseau")).to_be_visible(timeout=DEADLINE)
    expect(card.locator(".step-running", has_text="Attendre le démarrage")).to_be_visible(timeout=DEADLINE)
    no_overflow(page)
    card.get_by_role("link", name="Détail de l’opération").click()
    worker.begin("configure")
    worker.task("Set the host name", "changed")
    expect(page.get_by_text("Régler le nom de la machine")).to_be_visible(timeout=DEADLINE)
    no_overflow(page)
    worker.end("done", "active")
    expect(page.get_by_role("status")).to_have_text("terminé", timeout=DEADLINE)
    page.goto(portal)
    expect(page.get_by_text("Services en service")).to_be_visible()
    expect(card).to_have_count(0)
    assert complaints == []
    page.context.close()


def test_a_failure_is_said_in_a_sentence(browser: Browser, portal: str, brevaux: Caller, owner: sa.Engine) -> None:
    worker = Worker(owner, brevaux.place(wish()).json["flow_id"])
    worker.begin("build")
    page = open_page(browser, portal, brevaux, 1280)
    worker.end("failed", "failed", "Le nuage n’a plus de place pour cette taille.")
    expect(page.get_by_text("Le nuage n’a plus de place pour cette taille.")).to_be_visible(timeout=DEADLINE)
    page.context.close()


def test_without_javascript_the_page_comes_again_by_itself(
    browser: Browser, portal: str, brevaux: Caller, owner: sa.Engine
) -> None:
    worker = Worker(owner, brevaux.place(wish()).json["flow_id"])
    worker.begin("port")
    page = open_page(browser, portal, brevaux, 390, scripts=False)
    expect(page.get_by_text("Brancher le réseau")).to_be_visible()
    worker.begin("build")
    expect(page.get_by_text("Attendre le démarrage")).to_be_visible(timeout=DEADLINE)
    page.get_by_role("link", name=re.compile("Détail")).click()
    page.get_by_role("link", name="Annuler l’opération").click()
    page.get_by_role("button", name="Annuler l’opération").click()
    expect(page.get_by_text("annulation demandée")).to_be_visible()
    page.locator(".account summary").click()
    page.get_by_role("button", name="Se déconnecter").click()
    expect(page.get_by_role("heading", name="Connexion")).to_be_visible()
    page.context.close()


def test_the_keyboard_suffices(browser: Browser, portal: str, brevaux: Caller) -> None:
    brevaux.place(wish())
    page = open_page(browser, portal, brevaux, 1280)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Aller au contenu")).to_be_focused()
    link = page.get_by_role("link", name=re.compile("Détail"))
    link.focus()
    # The part with the link is replaced every second: the focus must outlive it.
    with page.expect_response(re.compile("part=live")):
        pass
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("Création de «.web.»"))).to_be_visible()
    page.context.close()


def test_the_price_hears_what_is_chosen_while_it_is_replaced(browser: Browser, portal: str, brevaux: Caller) -> None:
    page = open_page(browser, portal, brevaux, 1280)
    page.goto(f"{portal}/catalogue/vm-small")
    price = page.get_by_role("region", name="Prix")
    before = price.locator(".price").inner_text()
    # In the very moment when an answer takes the place of the one before, the next answer is asked for.
    page.evaluate("""document.body.addEventListener("htmx:beforeSwap", () =>
        document.querySelector("[name=public_address]").click(), {once: true})""")
    page.get_by_label("Disque de données (Gio)", exact=True).fill("10")
    expect(price).to_contain_text("Adresse publique")
    expect(price).to_contain_text("10 Gio")
    expect(price.locator(".price")).not_to_have_text(before)


def test_what_is_polled_stays_in_hand(browser: Browser, portal: str, brevaux: Caller, owner: sa.Engine) -> None:
    order = brevaux.place(wish("paie")).json
    assert order
    worker = Worker(owner, order["flow_id"])
    worker.begin("port")
    page = open_page(browser, portal, brevaux, 1280)
    detail = page.get_by_role("link", name="Détail de l’opération : paie")
    detail.focus()
    page.evaluate("() => { window.held = document.activeElement; }")
    brevaux.place(wish("gros"), offer="vm-xlarge", key="other")  # comes before it on the page
    worker.begin("server")
    expect(page.locator("#live")).to_contain_text("gros")
    expect(page.locator(".step")).to_have_count(2)
    assert page.evaluate("window.held.isConnected && document.activeElement === window.held")
    worker.end("done", "active")
    expect(detail).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "live"
    page.context.close()


def test_back_brings_what_was_typed_and_its_price(browser: Browser, portal: str, brevaux: Caller) -> None:
    page = open_page(browser, portal, brevaux, 1280)
    page.goto(f"{portal}/catalogue/vm-small")
    page.get_by_label("Nom", exact=True).fill("paie")
    page.get_by_label("Disque de données (Gio)", exact=True).fill("30")
    page.get_by_label("Clés SSH", exact=True).fill(KEY)
    page.get_by_role("button", name="Continuer", exact=True).click()
    expect(page.get_by_role("heading", name="Résumé de la commande")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Nom", exact=True)).to_have_value("paie")
    expect(page.get_by_label("Clés SSH", exact=True)).to_have_value(KEY)
    expect(page.get_by_role("region", name="Prix")).to_contain_text("30 Gio")
    page.context.close()
