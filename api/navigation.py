"""Where one can go: the main menu, the menus of administration and finance, the site map. One table for all three.

An entry shows when its page exists and the caller may do its act. `act` None: for everybody who is signed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import quote, urlencode

from flask import Flask, current_app, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from orchestrator.errors import N_


@dataclass(frozen=True)
class Entry:
    """One page of a menu. `territory`: only for those who act for the whole territory."""

    path: str
    label: str
    act: str | None = None
    territory: bool = False


@dataclass(frozen=True)
class Group:
    """Pages that belong together: the main menu (no name), or one that has a menu of its own at the side."""

    name: str
    entries: tuple[Entry, ...] = field(default=())


MENU = (
    Group(
        "",
        (
            Entry("/", N_("Accueil")),
            Entry("/services", N_("Services"), "service.read"),
            Entry("/catalogue", N_("Catalogue"), "catalogue.read"),
            Entry("/orders", N_("Commandes"), "order.read"),
            Entry("/approvals", N_("À décider"), "order.decide"),
            Entry("/costs", N_("Coûts"), "cost.read"),
            Entry("/statements", N_("Relevés"), "statement.read"),
            Entry("/people", N_("Équipe"), "people.read"),
        ),
    ),
    Group(
        N_("Administration"),
        (
            Entry("/admin/members", N_("Membres"), "member.read", territory=True),
            Entry("/admin/capacity", N_("Capacité"), "capacity.read", territory=True),
            Entry("/admin/quotas", N_("Quotas"), "capacity.read", territory=True),
            Entry("/admin/workers", N_("Exécutants"), "capacity.read", territory=True),
            Entry("/admin/drift", N_("Écarts"), "capacity.read", territory=True),
            Entry("/admin/outside", N_("Hors Clocher"), "capacity.read", territory=True),
            Entry("/admin/upgrades", N_("Mises à jour"), "capacity.read", territory=True),
            Entry("/admin/orders", N_("Commandes"), "order.read", territory=True),
            Entry("/admin/flows", N_("Opérations"), "flow.read", territory=True),
            Entry("/admin/catalogue", N_("Catalogue"), "catalogue.manage", territory=True),
            Entry("/admin/prices", N_("Tarifs"), "price.read", territory=True),
            Entry("/admin/policy", N_("Politique"), "policy.read", territory=True),
            Entry("/admin/audit", N_("Journal"), "audit.read", territory=True),
            Entry("/admin/announcements", N_("Annonces"), "announcement.manage", territory=True),
        ),
    ),
    Group(
        N_("Finance"),
        (
            Entry("/finance/periods", N_("Périodes"), "period.read", territory=True),
            Entry("/finance/keys", N_("Clés de répartition"), "period.read", territory=True),
            Entry("/finance/costs", N_("Coûts réels"), "period.read", territory=True),
            Entry("/finance/unit-cost", N_("Coût unitaire"), "period.read", territory=True),
            Entry("/finance/energy", N_("Énergie et carbone"), "period.read", territory=True),
            Entry("/finance/cycle", N_("Cycle annuel"), "period.read", territory=True),
            Entry("/finance/billing", N_("Modes de paiement"), "period.read", territory=True),
            Entry("/finance/statements", N_("Relevés"), "statement.read", territory=True),
            Entry("/finance/disputes", N_("Contestations"), "statement.read", territory=True),
            Entry("/finance/settings", N_("Réglages"), "period.read", territory=True),
        ),
    ),
)
# The menu under one's own name.
OWN = (
    Entry("/account", N_("Mon compte")),
    Entry("/account/notices", N_("Mes courriels")),
    Entry("/people/deputies", N_("Suppléances"), "order.decide"),
    Entry("/tokens", N_("Jetons d’accès"), "token.own"),
    Entry("/webhooks", N_("Webhooks"), "webhook.manage"),
    Entry("/maintenance", N_("Plage de maintenance"), "service.operate"),
    Entry("/register", N_("Registre des traitements"), "register.read"),
)
# The foot of every page, for everybody.
LEGAL = (
    Entry("/accessibilite", N_("Accessibilité")),
    Entry("/plan-du-site", N_("Plan du site")),
    Entry("/mentions-legales", N_("Mentions légales")),
    Entry("/donnees-personnelles", N_("Données personnelles")),
)


def install(app: Flask) -> None:
    """Let templates see the menus and where they are in them."""
    app.jinja_env.globals.update(
        menu=menu, own_menu=lambda: list(_open(OWN)), legal_menu=lambda: list(_exists(LEGAL)), side=side, here=here,
        in_language=in_language, exists=exists,
    )  # fmt: skip
    app.jinja_env.tests["here"] = here
    # Other modules put theirs in their place: what is announced, and for whom one can act.
    app.jinja_env.globals.setdefault("announcements", lambda: ())
    app.jinja_env.globals.setdefault("homes", lambda: ())


def menu() -> list[Group]:
    """The groups with the pages that the caller may open; a group without any is left out."""
    found = [Group(group.name, tuple(_open(group.entries))) for group in MENU]
    return [group for group in found if group.entries]


def side() -> Group | None:
    """The named group that the present page is in."""
    return next((group for group in menu() if group.name and any(here(entry.path) for entry in group.entries)), None)


def here(path: str) -> bool:
    """Whether the present page is `path`, or below it."""
    return request.path == path or (path != "/" and request.path.startswith(f"{path}/"))


def in_language(language: str) -> str:
    """The address of the present page in another language; the home page's where this one only takes forms."""
    kept = [(name, value) for name, value in request.args.items(multi=True) if name not in ("lang", "part")]
    query = urlencode([*kept, ("lang", language)], quote_via=quote)
    return f"{request.path if exists(request.path) else '/'}?{query}"


def _open(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    caller = g.get("caller")
    if caller is None:
        return
    may = cast(Callable[[str], bool], current_app.jinja_env.globals["may"])
    for entry in _exists(entries):
        if (caller.member_id is None or not entry.territory) and (entry.act is None or may(entry.act)):
            yield entry


def _exists(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    known: dict[str, bool] = current_app.extensions.setdefault("menu paths", {})  # routes don't change once it serves
    for entry in entries:
        if entry.path not in known:
            known[entry.path] = exists(entry.path)
        if known[entry.path]:
            yield entry


def exists(path: str) -> bool:
    """Whether a page answers there."""
    try:
        current_app.url_map.bind("").match(path, "GET")
    except RequestRedirect:
        return True
    except HTTPException:
        return False
    return True
