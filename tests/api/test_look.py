"""The look of an installation: colours that can be read, a name, a logo; and every macro on one page."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from api.app import create
from orchestrator import colours
from orchestrator.errors import InvalidInput
from orchestrator.settings import Settings
from tenants import legal

LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'


@pytest.mark.parametrize(
    ("colour", "contrast"), [("#000000", 21.0), ("#ffffff", 1.0), ("#767676", 4.54), ("#1f3a4d", 11.86)]
)
def test_contrast_is_that_of_wcag(colour: str, contrast: float) -> None:
    assert colours.contrast(colour) == pytest.approx(contrast, abs=0.05)


@pytest.mark.parametrize("colour", ["#e6a585", "#777777", "red", "#12345", "#1f3a4d;}body{display:none", "#1f3a4dff"])
def test_a_colour_that_can_t_be_read_is_refused(settings: Settings, colour: str) -> None:
    for name in ("primary_colour", "accent_colour"):
        with pytest.raises(ValidationError, match=r"contrast|no colour"):
            Settings(state_dir=settings.state_dir, **{name: colour})


def test_the_colours_are_served_as_a_file_of_their_own(settings: Settings) -> None:
    app = create(settings.model_copy(update={"primary_colour": "#123456", "accent_colour": "#654321"}))
    answer = app.test_client().get("/theme.css")
    app.extensions["engines"].dispose()
    assert answer.content_type == "text/css; charset=utf-8"
    assert "--primary: #123456;" in answer.text
    assert "--accent: #654321;" in answer.text
    assert "--bs-link-color-rgb: 101, 67, 33;" in answer.text
    assert "max-age=86400" in answer.headers["Cache-Control"]


def test_name_logo_and_contact_come_from_the_settings(settings: Settings, tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text(LOGO)
    chosen = {"display_name": "Pays de <b>Nulle</b> Part", "logo": logo, "contact_email": "dsi@nulle-part.example"}
    app = create(settings.model_copy(update=chosen))
    client = app.test_client()
    page = client.get("/plan-du-site").text
    with client.get("/logo") as served:
        assert (served.text, served.mimetype) == (LOGO, "image/svg+xml")
        assert "default-src 'none'" in served.headers["Content-Security-Policy"]
    app.extensions["engines"].dispose()
    assert "Pays de &lt;b&gt;Nulle&lt;/b&gt; Part" in page
    assert 'href="mailto:dsi@nulle-part.example"' in page


def test_without_settings_the_declared_name_and_the_bell_tower(settings: Settings) -> None:
    app = create(settings)
    page = app.test_client().get("/plan-du-site").text
    app.extensions["engines"].dispose()
    assert "Vallombre Agglomération" in page
    assert 'src="/static/clocher.svg"' in page
    assert "Accessibilité\xa0: non conforme" in page


@pytest.mark.parametrize("name", ["logo.gif", "missing.svg"])
def test_a_logo_must_be_a_picture_that_is_there(settings: Settings, tmp_path: Path, name: str) -> None:
    (tmp_path / "logo.gif").write_bytes(b"GIF89a")
    with pytest.raises(ValidationError, match=r"is no \.svg or \.png file"):
        Settings(state_dir=settings.state_dir, logo=tmp_path / name)


def test_conformity_is_said_only_after_an_audit(tmp_path: Path) -> None:
    (tmp_path / "legal").mkdir()
    file = tmp_path / "legal" / "legal.yaml"
    assert legal.load(tmp_path).accessibility.state == "none"
    file.write_text("accessibility: {state: partial}")
    with pytest.raises(InvalidInput) as refused:
        legal.load(tmp_path)
    assert refused.value.code == "invalid_legal"
    assert "only after an audit" in refused.value.detail
    file.write_text("accessibility: {state: partial, audited_on: 2026-11-02, rate: 71}")
    assert legal.load(tmp_path).accessibility.rate == 71
    file.write_text("accessibility: [")
    with pytest.raises(InvalidInput):
        legal.load(tmp_path)
