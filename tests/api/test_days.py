"""The three days: a commune gets and keeps a server, the DSI takes a member in, finance reads a month.

Everything real: browser, app, worker, PostgreSQL, the dev cloud and its guests. Once without JavaScript, by keyboard.
"""

from __future__ import annotations

import random
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from playwright.sync_api import Browser, Page, expect

from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables import Member
from tenants import catalogue, finance, pools, prices, sample
from tests.api.days import (
    BUILT,
    Key,
    Office,
    beside,
    go,
    link,
    mail,
    press,
    proved,
    reach,
    say,
    settle,
    show,
    shut,
    state,
    vacate,
    working,
)
from tests.api.people import PASSWORD, invite
from tests.orchestrator.conftest import CLOUDS
from tests.tenants.ordering import HOURLY, count_trades, member, seed

pytestmark = [pytest.mark.cloud, pytest.mark.browser]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """An installation of its own: its tag in the cloud is nobody else's."""
    territory = f"jour-{uuid.uuid4().hex[:8]}"
    shutil.copytree(settings.territories_dir / settings.territory, tmp_path / "territories" / territory)
    own = {"territory": territory, "territories_dir": tmp_path / "territories", "clouds_file": CLOUDS}
    quick = {"heartbeat_seconds": 0.5, "dead_after_seconds": 5.0, "sweep_seconds": 3600.0, "ssh_timeout": 30.0}
    return settings.model_copy(update=own | quick)


@pytest.fixture
def office(browser: Browser, portal: str) -> Iterator[Office]:
    made = Office(browser, portal)
    yield made
    made.close()
    assert made.complaints == []


@pytest.fixture
def town(
    app: APIFlask, settings: Settings, owner: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Brevaux with its place, its people and the agglomeration's, by name → e-mail; a worker at work."""
    # Public addresses are so dear here that the policy as shipped asks everybody: beyond 400 € a month.
    monkeypatch.setitem(HOURLY, "public_address", "0.60")
    seed(owner)
    brevaux = member(owner)
    people = {
        "camille": invite(app, "Camille Roy", "brevaux", ["requester"]),
        "paul": invite(app, "Paul Tanguy", "brevaux", ["approver"]),
        "nadia": invite(app, "Nadia Ferrand", "brevaux", ["finance"]),
        "yann": invite(app, "Yann Le Goff", None, ["dsi_operator"]),
    }
    try:
        settle(settings, owner, brevaux, "brevaux", f"10.{random.randint(100, 199)}.{random.randint(0, 255)}.0/24")
        with working(settings):
            yield {name: person.email for name, person in people.items()}
    finally:
        vacate(settings, "brevaux")


def test_a_commune_gets_and_keeps_a_server(
    office: Office, town: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    key = Key(tmp_path / "camille")
    page = office.enter(town["camille"])
    show(page, "day-home")
    order(page, key)
    at = page.url.removeprefix(office.portal).partition("?")[0]
    expect(page.get_by_text("Elle attend l’accord de Paul Tanguy.")).to_be_visible()
    decided(office, town, settings, at)
    # The requester's page was open all the time: it tells by itself.
    expect(page.locator(".step-done", has_text="Brancher le réseau")).to_be_visible(timeout=BUILT)
    expect(page.locator(".step-running", has_text="Configurer le système")).to_be_visible(timeout=BUILT)
    show(page, "day-order-running")
    page.get_by_role("link", name="Page du service").click()
    state(page, "en service")
    show(page, "day-service")
    ssh = page.locator("#copy-ssh").inner_text()
    assert key.run(ssh, "id -un; nproc").split() == ["admin", "1"] or key.run(ssh, "id -un") == "admin"
    grown(page)
    restored(page, key, ssh)
    kept(page, key, ssh)


def order(page: Page, key: Key) -> None:
    """From the catalogue by the form to the order."""
    go(page, "Catalogue")
    page.get_by_role("link", name="Petite machine virtuelle", exact=True).click()
    expect(page.get_by_role("region", name="Prix")).to_contain_text("10,95\xa0€")
    page.get_by_label("Nom", exact=True).fill("site-mairie")
    page.get_by_label("Clés SSH", exact=True).fill(key.public)
    page.get_by_label("Adresse publique", exact=True).check()
    expect(page.get_by_role("region", name="Prix")).to_contain_text("448,95\xa0€")
    show(page, "day-order-form")
    page.get_by_role("button", name="Continuer", exact=True).click()
    expect(page.get_by_role("heading", name="Résumé de la commande")).to_be_visible()
    show(page, "day-order-summary")
    page.get_by_role("button", name="Commander", exact=True).click()
    expect(page.get_by_text("La commande est passée.")).to_be_visible()


def decided(office: Office, town: dict[str, str], settings: Settings, at: str) -> None:
    """Approver, finance and DSI agree one after the other; each is told by a mail that leads to the order."""
    letter = mail(settings, town["paul"], "site-mairie")
    assert link(letter) == at
    paul = office.enter(town["paul"])
    paul.get_by_role("link", name="site-mairie").first.click()
    paul.get_by_role("button", name="Donner mon accord").click()
    expect(paul.get_by_text("Elle attend l’accord de Nadia Ferrand.")).to_be_visible()
    mail(settings, town["nadia"], "site-mairie")
    nadia = office.enter(town["nadia"])
    go(nadia, "À décider")
    nadia.get_by_role("link", name="Commande").last.click()
    nadia.get_by_label("Numéro d’engagement", exact=True).fill("2026-0412")
    nadia.get_by_label("Ligne budgétaire", exact=True).fill("020-6156")
    show(nadia, "day-decision")
    nadia.get_by_role("button", name="Donner mon accord").click()
    expect(nadia.get_by_text("engagement 2026-0412, ligne 020-6156")).to_be_visible()
    yann = office.enter(town["yann"], house="Vallombre")
    yann.goto(f"{office.portal}{at}")
    yann.get_by_role("button", name="Donner mon accord").click()
    expect(yann.locator(".chain .state-good")).to_have_count(3)


def grown(page: Page) -> None:
    """A larger machine; the extra is so little that it starts at once."""
    page.get_by_role("link", name="Changer de taille").click()
    page.get_by_label("Machine virtuelle moyenne").check()
    effect = page.get_by_role("region", name="Effet")
    expect(effect).to_contain_text("+18,25\xa0€")
    show(page, "day-resize")
    page.get_by_role("button", name="Commander ce changement").click()
    expect(page.get_by_text("La commande est passée ; elle commence maintenant.")).to_be_visible()
    expect(page.locator("#live h3 .state")).to_have_text("terminé", timeout=BUILT)
    page.get_by_role("link", name="Page du service").click()
    state(page, "en service")
    expect(page.locator("#facts")).to_contain_text("2 vCPU")


def restored(page: Page, key: Key, ssh: str) -> None:
    """A file is written, kept in a snapshot, lost, and back."""
    key.run(ssh, "echo 'Bienvenue à Brevaux' > accueil.html && sync")
    page.get_by_role("link", name="Faire un instantané").first.click()
    page.get_by_label("Nom", exact=True).fill("avant la mise à jour")
    page.get_by_role("button", name="Faire un instantané").click()
    expect(page.locator("#snapshots .state")).to_have_text("prêt", timeout=BUILT)
    key.run(ssh, "rm accueil.html")
    show(page, "day-snapshot")
    page.get_by_role("link", name="Restaurer avant la mise à jour").click()
    page.get_by_role("button", name="Restaurer").click()
    state(page, "en restauration", within=20_000)
    state(page, "en service")
    assert key.run(ssh, "cat accueil.html") == "Bienvenue à Brevaux"


def kept(page: Page, key: Key, ssh: str) -> None:
    """Deleted by mistake, and taken back within the grace."""
    page.get_by_role("link", name="Supprimer", exact=True).click()
    page.get_by_role("button", name="Supprimer").click()
    expect(page.get_by_text("Ce service sera supprimé le")).to_be_visible()
    state(page, "arrêté")
    show(page, "day-deletion")
    page.get_by_role("button", name="Annuler la suppression").click()
    state(page, "en service")
    expect(page.get_by_text("Ce service sera supprimé le")).to_have_count(0)
    assert key.run(ssh, "cat accueil.html") == "Bienvenue à Brevaux"


def test_by_keyboard_and_without_javascript(office: Office, town: dict[str, str], tmp_path: Path) -> None:
    """From the sign-in to a server that runs, with Tab, Space and Enter alone."""
    key = Key(tmp_path / "camille")
    page = office.open(scripts=False)
    page.goto(office.portal)
    reach(page, page.get_by_label("Adresse électronique"), town["camille"])
    reach(page, page.get_by_label("Mot de passe", exact=True), PASSWORD)
    press(page, page.get_by_role("button", name="Se connecter", exact=True))
    press(page, page.get_by_role("navigation").get_by_role("link", name="Catalogue", exact=True))
    press(page, page.get_by_role("link", name="Petite machine virtuelle", exact=True))
    reach(page, page.get_by_label("Nom", exact=True), "archives")
    reach(page, page.get_by_label("Adresse publique", exact=True), " ")
    reach(page, page.get_by_label("Clés SSH", exact=True), key.public)
    press(page, page.get_by_role("button", name="Recalculer"))
    expect(page.get_by_role("region", name="Prix")).to_contain_text("448,95\xa0€")
    reach(page, page.get_by_label("Adresse publique", exact=True), " ")
    press(page, page.get_by_role("button", name="Continuer", exact=True))
    expect(page.locator("main")).to_contain_text("10,95\xa0€")
    press(page, page.get_by_role("button", name="Commander", exact=True))
    expect(page.get_by_text("La commande est passée ; elle commence maintenant.")).to_be_visible()
    expect(page.locator(".step-running", has_text="Configurer le système")).to_be_visible(timeout=BUILT)
    expect(page.locator("#live h3 .state")).to_have_text("terminé", timeout=BUILT)
    press(page, page.get_by_role("link", name="Page du service"))
    state(page, "en service")
    assert key.run(page.locator("#copy-ssh").inner_text(), "hostname") == "archives"


@pytest.fixture
def desk(app: APIFlask, settings: Settings, owner: sa.Engine) -> Iterator[str]:
    """A DSI admin's e-mail; a worker at work, no member yet."""
    seed(owner)
    admin = invite(app, "Helene Aubertin", None, ["dsi_admin"])
    try:
        with working(settings):
            yield admin.email
    finally:
        vacate(settings, "orgelune")


def test_the_dsi_takes_a_member_in(office: Office, desk: str, settings: Settings, tmp_path: Path) -> None:
    admin = office.enter(desk, "en", house="Vallombre")
    onboard(admin)
    show(admin, "day-member-applied")
    user = invited(office, admin, settings)
    shut(settings, "orgelune")
    bought(user, Key(tmp_path / "ada"))
    mended(admin, user)
    published(admin, user)


def en(french: str) -> str:
    return say("en", french)


def onboard(page: Page) -> None:
    """Planned by a worker, read, applied by a worker."""
    go(page, en("Administration"))
    page.get_by_role("link", name=en("Nouveau membre")).click()
    given = {"slug": "orgelune", "name": "Orgelune", "siren": "732829320", "siret": "73282932000074",
             "insee_code": "00012", "population": "1200", "contacts.0.name": "Ada Morel",
             "contacts.0.role": "Secrétaire", "contacts.0.email": "ada@orgelune.example",
             f"budgets.{datetime.now(UTC).year}": "1 200,00"}  # fmt: skip
    for name, value in given.items():
        page.locator(f"[name='{name}']").fill(value)
    show(page, "day-member-form")
    page.get_by_role("button", name=en("Préparer le plan")).click()
    applied(page)


def applied(page: Page) -> None:
    """The plan comes, is confirmed and done, before the eyes."""
    page.get_by_role("button", name=en("Appliquer")).click(timeout=30_000)
    expect(page.locator("#live .state").first).to_have_text(en("appliqué"), timeout=30_000)


def invited(office: Office, admin: Page, settings: Settings) -> Page:
    """The member's first user: invited in the pages, comes by the mail; signed in at the end."""
    go(admin, en("Équipe"))
    admin.get_by_label(en("Nom"), exact=True).fill("Ada Morel")
    admin.get_by_label(en("Adresse électronique professionnelle"), exact=True).fill("ada@orgelune.example")
    admin.get_by_role("combobox", name=en("Langue")).select_option("en")
    admin.get_by_role("combobox", name=en("Collectivité")).select_option(label="Orgelune")
    admin.get_by_label("Requester", exact=True).check()
    admin.get_by_role("button", name=en("Envoyer l’invitation")).click()
    expect(admin.get_by_role("row", name="Ada Morel")).to_contain_text(en("invité"))
    letter = mail(settings, "ada@orgelune.example", "Orgelune")
    assert letter["Subject"] == en("Votre accès à Clocher")
    user = office.open("en")
    user.goto(f"{office.portal}{link(letter)}")
    user.get_by_label(en("Nouveau mot de passe"), exact=True).fill(PASSWORD)
    user.get_by_role("button", name=en("Enregistrer et se connecter")).click()
    expect(user.get_by_role("heading", name="Orgelune", level=1)).to_be_visible()
    return user


def bought(page: Page, key: Key) -> None:
    """The user orders; the guest can't be reached, and the page says who is on it."""
    go(page, en("Catalogue"))
    page.get_by_role("link", name="Small virtual machine", exact=True).click()
    page.get_by_label("Name", exact=True).fill("web")
    page.get_by_label("SSH keys", exact=True).fill(key.public)
    page.get_by_role("button", name=en("Continuer"), exact=True).click()
    page.get_by_role("button", name=en("Commander"), exact=True).click()
    expect(page.get_by_text(en("La DSI en est prévenue."))).to_be_visible(timeout=BUILT)
    show(page, "day-order-held")


def mended(admin: Page, user: Page) -> None:
    """The DSI reads what is wrong, has the member's place put right, and tries again from the failed step."""
    go(admin, en("Administration"))
    beside(admin, en("Opérations"))
    admin.get_by_role("region", name=en("Attendent la DSI")).get_by_role("link").click()
    show(admin, "day-flow-held")
    flow = admin.url
    beside(admin, en("Membres"))
    admin.get_by_role("link", name="Orgelune").click()
    admin.get_by_role("link", name=en("Modifier"), exact=True).click()
    admin.get_by_role("button", name=en("Préparer le plan")).click()
    applied(admin)
    admin.goto(flow)
    admin.get_by_role("button", name=en("Réessayer")).click()
    expect(admin.locator("#live .state").first).to_have_text(en("terminé"), timeout=BUILT)
    expect(user.locator("#live h3 .state")).to_have_text(en("terminé"))
    user.get_by_role("link", name=en("Page du service")).click()
    state(user, en("en service"))


def published(admin: Page, user: Page) -> None:
    """A version is copied, edited, published; the member reads it in the catalogue, and not before."""
    go(admin, en("Administration"))
    beside(admin, en("Catalogue"))
    admin.get_by_role("link", name="vm-small v1", exact=True).click()
    admin.get_by_role("button", name=en("Copier en brouillon")).click()
    admin.locator("[name='title.en']").fill("Starter machine")
    admin.locator("[name='title.fr']").fill("Machine de départ")
    admin.get_by_role("button", name=en("Enregistrer le brouillon")).click()
    go(user, en("Catalogue"))
    expect(user.get_by_role("link", name="Small virtual machine", exact=True)).to_be_visible()
    admin.get_by_role("button", name=en("Publier")).click()
    expect(admin.locator("h1 .state")).to_have_text(en("publiée"))
    user.reload()
    expect(user.get_by_role("link", name="Starter machine", exact=True)).to_be_visible()
    expect(user.get_by_role("link", name="Small virtual machine", exact=True)).to_have_count(0)
    show(user, "day-catalogue")


@pytest.fixture
def month(app: APIFlask, settings: Settings, owner: sa.Engine, staff: sa.Engine) -> str:
    """The month of a sample, drafted."""
    with territory_session(owner, "tests") as session:
        catalogue.load(session)
        count_trades(session)
        prices.apply(session, finance.price_book(settings.territory_dir), settings.timezone)
    for slug in ("brevaux", "orgelune"):
        member(owner, slug)
    invite(app, "Karim Delorme", None, ["territory_finance"])
    invite(app, "Nadia Ferrand", "brevaux", ["finance"])
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Member).values(population=1800, insee_code=None))
    with territory_session(staff, "tests") as session:
        declared = finance.sharing(settings.territory_dir)
        pools.apply_keys(session, declared)
        sample.build(session, "2026-09", declared, datetime.now(UTC), settings.timezone)
    return "2026-09"


@pytest.mark.parametrize("language", ["fr", "en"])
def test_finance_reads_the_month(office: Office, month: str, language: str) -> None:
    """On a phone. The agglomeration's finance closes the month; the member's reads its own statement, and no other."""

    def words(french: str) -> str:
        return say(language, french)

    page = office.enter("karim.delorme@agglo.fr", language, 390, house="Vallombre")
    go(page, words("Périodes"))
    show(page, "day-periods")
    name = "septembre 2026" if language == "fr" else "September 2026"
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("button", name=words("Établir de nouveau")).click()
    expect(page.get_by_text(words("Le mois est établi."))).to_be_visible()
    page.get_by_role("button", name=words("Contrôler")).click()
    expect(page.get_by_text(words("Tout concorde : le mois est contrôlé."))).to_be_visible()
    page.get_by_role("link", name=words("Clore…")).click()
    page.locator("[name=confirm]").fill("2026-08")
    page.get_by_role("button", name=words("Clore pour toujours")).click()
    expect(page.get_by_text(words("Ce mot ne correspond pas.")).first).to_be_visible()
    page.locator("[name=confirm]").fill(month)
    show(page, "day-close")
    page.get_by_role("button", name=words("Clore pour toujours")).click()
    expect(page.get_by_text(words("Le mois est clos : il ne change plus."))).to_be_visible()
    state(page, words("clos"))
    show(page, "day-period-closed")
    page.get_by_role("link", name="Orgelune", exact=True).click()
    proved(page, words, "Orgelune")
    mine = office.enter("nadia.ferrand@brevaux.fr", language, 390)
    go(mine, words("Relevés"))
    expect(mine.locator("main")).not_to_contain_text("Orgelune")
    mine.get_by_role("link", name=name, exact=True).click()
    proved(mine, words, "Brevaux")
