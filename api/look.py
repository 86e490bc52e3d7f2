"""The look of an installation: its name, logo and two colours, from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import yaml
from flask import Blueprint, Flask, Response, current_app, send_file, url_for
from markupsafe import Markup, escape

from orchestrator import colours
from orchestrator.settings import Settings
from tenants import legal
from tenants.legal import Legal

blueprint = Blueprint("look", __name__)
DAY = 86400  # seconds that a browser may keep the colours


@dataclass(frozen=True)
class Look:
    """What templates know of the installation, as `look`."""

    settings: Settings

    @cached_property
    def name(self) -> str:
        """The territory's name: set, or declared."""
        return self.settings.display_name or self._declared() or "Clocher"

    def _declared(self) -> str | None:
        path = self.settings.territory_dir / "territory.yaml"
        name: str | None = yaml.safe_load(path.read_text()).get("name") if path.is_file() else None
        return name

    @property
    def logo(self) -> str:
        """Where the logo is."""
        return url_for("look.logo") if self.settings.logo else url_for("static", filename="clocher.svg")

    @property
    def email(self) -> str | None:
        return self.settings.contact_email

    @property
    def phone(self) -> str | None:
        return self.settings.contact_phone

    @cached_property
    def legal(self) -> Legal:
        """What the site says of itself."""
        return legal.load(self.settings.territory_dir)

    @cached_property
    def theme(self) -> str:
        """The colours as CSS variables. They have the form #rrggbb, so nothing else can get in."""
        primary, accent = self.settings.primary_colour, self.settings.accent_colour
        shades = {
            "primary": primary,
            "primary-dark": colours.darker(primary),
            "accent": accent,
            "accent-dark": colours.darker(accent),
        }
        lines = [f"  --{name}: {colour};" for name, colour in shades.items()]
        for name, colour in (("link", accent), ("link-hover", shades["accent-dark"])):
            lines.append(f"  --bs-{name}-color-rgb: {', '.join(map(str, colours.parts(colour)))};")
        return "\n".join([":root {", *lines, "}", ""])


def install(app: Flask, settings: Settings) -> None:
    """Serve the look of this installation, and let templates see it."""
    look = app.extensions["look"] = app.jinja_env.globals["look"] = Look(settings)
    look.legal  # noqa: B018  (a broken file is said at the start, not to the first reader)
    app.jinja_env.filters["named"] = named
    app.register_blueprint(blueprint)


def named(text: str) -> Markup:
    """A text in the reader's language, with the territory's name in it marked as French."""
    name = _look().name
    return escape(text).replace(escape(name), Markup('<span lang="fr">{}</span>').format(name))


def _look() -> Look:
    return cast(Look, current_app.extensions["look"])


@blueprint.get("/theme.css")
def theme() -> Response:
    """The two colours of the installation."""
    answer = Response(_look().theme, content_type="text/css; charset=utf-8")
    answer.cache_control.max_age = DAY
    return answer


@blueprint.get("/logo")
def logo() -> Response:
    """The installation's logo; the bell tower when it has none."""
    path = _look().settings.logo
    return send_file(path, max_age=DAY) if path else current_app.send_static_file("clocher.svg")
