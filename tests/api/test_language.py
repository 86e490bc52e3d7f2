"""Two languages: whose wish counts, how values are written, and that no French sentence lacks its English."""

from __future__ import annotations

import ast
import pickle
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from apiflask import APIFlask
from jinja2 import Environment, nodes

from api import formats, language, recognising, words
from api.translations import SOURCE, catalogue, extracting, read
from api.translations.__main__ import faults, targets
from orchestrator.errors import Conflict, Number, Text, example, joined
from tests.api.conftest import Caller
from tests.tenants.ordering import wish

NB, NNB = "\xa0", "\u202f"
# Words that stand in templates as they are in both languages: names, units, signs.
SAME = {
    "Clocher", "Gio", "vCPU", "CSV", "JSON", "JSONL", "XLSX", "PDF", "SIRET", "SIREN", "SHA", "URL", "TOTP", "API",
    "OpenAPI", "min", "HTTP", "ms",
}  # fmt: skip
LETTERS = re.compile(r"[^\W\d_]{2,}")


@pytest.mark.slow
def test_every_sentence_has_its_english() -> None:
    for target in targets():
        assert faults(target) == []


@pytest.mark.slow
def test_no_template_says_anything_outside_gettext() -> None:
    env = Environment(extensions=["jinja2.ext.i18n"])
    told: list[str] = []
    for path in sorted((extracting.ROOT / "api" / "templates").rglob("*.html")):
        text = "".join(
            data.data if isinstance(data, nodes.TemplateData) else "\0" for data in _pieces(env, path.read_text())
        )
        text = re.sub(r'hx-[a-z]+="[^"]*"', "", text)
        shown = re.sub(r"<(code|pre|kbd)[^>]*>.*?</\1>|<!--.*?-->|<[^>]*>", " ", text, flags=re.DOTALL)
        words = {word for word in LETTERS.findall(shown) if word not in SAME}
        words |= {w for value in _readable_attributes(text) for w in LETTERS.findall(value) if w not in SAME}
        told += [f"{path.name}: {word}" for word in sorted(words)]
    assert told == []


def _pieces(env: Environment, source: str) -> list[nodes.Node]:
    pieces: list[nodes.Node] = []
    for output in env.parse(source).find_all(nodes.Output):
        pieces += output.nodes
    return pieces


def _readable_attributes(text: str) -> list[str]:
    return re.findall(r'(?:aria-label|title|alt|placeholder|data-label)="([^"\0]*)"', text)


@pytest.mark.slow
def test_no_error_hides_its_template() -> None:
    import ast

    hidden = []
    for path in extracting._files("*.py"):
        if {"commands", "demo"} & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                for place in extracting.CALLS.get(name, ()):
                    if place < len(node.args) and isinstance(node.args[place], ast.JoinedStr):
                        hidden.append(f"{path.name}:{node.lineno}")
    assert hidden == [], "write Text('… {name} …', name=name) instead of an f-string"


@pytest.mark.parametrize(
    ("wish_", "cookie", "browser", "expected"),
    [
        (None, None, None, "fr"),
        (None, None, "en-US,en;q=0.9", "en"),
        (None, None, "de", "fr"),
        (None, "fr", "en", "fr"),
        (None, "en", "fr", "en"),
        ("fr", "en", "en", "fr"),
        ("en", None, "fr", "en"),
        ("xx", None, None, "fr"),
        (None, "<script>", None, "fr"),
    ],
)
def test_whose_wish_counts(
    app: APIFlask, wish_: str | None, cookie: str | None, browser: str | None, expected: str
) -> None:
    client = app.test_client()
    if cookie:
        client.set_cookie(language.COOKIE, cookie)
    headers = {"Accept-Language": browser} if browser else {}
    answer = client.get("/accessibilite" + (f"?lang={wish_}" if wish_ else ""), headers=headers)
    assert f'<html lang="{expected}">' in answer.text
    assert answer.headers["Content-Language"] == expected
    kept = answer.headers.get("Set-Cookie", "")
    assert (language.COOKIE in kept) == (wish_ in ("fr", "en"))


def test_a_choice_is_kept_and_survives_the_page(app: APIFlask) -> None:
    client = app.test_client()
    client.get("/accessibilite?lang=en")
    page = client.get("/plan-du-site?a=1&lang=xx").text
    assert '<html lang="en">' in page
    assert 'href="/plan-du-site?a=1&amp;lang=fr"' in page
    client.get("/accessibilite?lang=fr")
    assert '<html lang="fr">' in client.get("/plan-du-site").text


@pytest.mark.slow
def test_the_api_refuses_in_the_language_that_is_asked(brevaux: Caller) -> None:
    french = brevaux.place(wish("Web"), key="1")
    english = brevaux("POST", "/orders", json={"offer": "vm-small", "parameters": wish("Web")},
                      headers={"Idempotency-Key": "2", "Accept-Language": "en"})  # fmt: skip
    assert french.json["code"] == english.json["code"] == "invalid_parameter"
    assert french.json["detail"].startswith("« ")
    assert "must begin with a letter" in english.json["detail"]
    assert "must begin with a letter" in english.json["errors"][0]["sentence"]
    assert english.headers["Content-Language"] == "en"
    assert "Accept-Language" in english.headers["Vary"]


def test_values_are_written_each_in_its_form() -> None:
    assert formats.amount(Decimal("1234.5")) == f"1{NNB}234,50{NB}€"
    assert formats.amount(Decimal("1234.5"), "en") == "€1,234.50"
    assert formats.amount(Decimal("-3")) == f"-3,00{NB}€"
    assert formats.delta(Decimal("12")) == f"+12,00{NB}€"
    assert formats.delta(Decimal("-12"), "en") == "−€12.00"
    assert formats.delta(Decimal(0)) == f"0,00{NB}€"
    assert formats.price(Decimal("0.0123")) == f"0,0123{NB}€"
    assert formats.price(Decimal("0.5"), "en") == "€0.50"
    assert formats.number(1234) == f"1{NNB}234"
    assert formats.percent(Decimal("0.256")) == f"26{NB}%"
    assert formats.size(2048, "MiB") == f"2{NB}Gio"
    held, limit = (formats.size(value, "MiB", into="GiB") for value in (112 * 1024, 400_000))
    assert (held, limit) == (f"112{NB}Gio", f"390,6{NB}Gio"), "what is compared is in one unit"
    assert formats.size(3072, "GiB", "en", "GiB") == f"3,072{NB}GiB"
    assert formats.size(Decimal("1.25"), "GiB", into="GiB") == f"1,3{NB}Gio"
    assert formats.size(0, "MiB", into="GiB") == f"0{NB}Gio"
    assert formats.size(1536, "MiB", "en") == f"1,536{NB}MiB"
    winter = datetime(2026, 11, 23, 13, 5, 9, tzinfo=UTC)
    assert formats.instant(winter) == formats.instant(winter, "en") == "23/11/2026 14:05"
    assert formats.instant(winter, seconds=True) == "23/11/2026 14:05:09"
    assert formats.instant(datetime(2026, 7, 1, 22, 30, tzinfo=UTC)) == "02/07/2026 00:30"
    assert formats.day(datetime(2026, 7, 1, 22, 30, tzinfo=UTC)) == "02/07/2026"
    assert formats.day(date(2026, 7, 1), "en") == "01/07/2026"
    assert formats.long_day(date(2026, 11, 23)) == "lundi 23 novembre 2026"
    assert formats.month("2026-10") == "octobre 2026"
    assert formats.month("2026-10", "en") == "October 2026"
    spans = (42, 65, 7800, 180_000)
    assert [formats.span(seconds) for seconds in spans] == [
        f"42{NB}s", f"1{NB}min 05{NB}s", f"2{NB}h 10{NB}min", f"2{NB}j 2{NB}h"]  # fmt: skip
    assert formats.span(timedelta(days=3, hours=4), "en") == f"3{NB}d 4{NB}h"
    assert formats.cell(None) == "—"
    assert formats.cell(True, "en") == "yes"


def test_a_sentence_keeps_its_template_and_values() -> None:
    made = Text("Le nom « {name} » est déjà pris.", name="web")
    assert made == "Le nom « web » est déjà pris."
    again = pickle.loads(pickle.dumps(Conflict("name_taken", made)))
    assert (again.sentence.template, again.sentence.values) == (made.template, {"name": "web"})
    assert language.tell(again.sentence, SOURCE) == made
    amount = Text("{sum} le {day}", sum=Decimal("12.5"), day=date(2026, 11, 23))
    assert amount == f"12,50{NB}€ le 23/11/2026"
    assert language.tell(amount, "en") == "€12.50 le 23/11/2026"
    count = Text("{count} de {example}", count=Number(16384), example=example("1840,00"))
    assert (count, language.tell(count, "en")) == (f"16{NNB}384 de 1840,00", "16,384 de 1840.00")
    weights = Text("{found} %", found=Number("99.9999"))
    assert (weights, language.tell(weights, "en")) == ("99,9999 %", "99.9999 %")
    both = Text("{label}", label={"fr": "Nom", "en": "Name"})
    assert (both, language.tell(both, "en")) == ("Nom", "Name")
    assert language.tell(joined([both, made]), "en").startswith("Name ")


def test_stored_sentences_are_recognised_by_their_form() -> None:
    """Every template of the catalogue, filled in French, is found again and filled in English."""
    for target in targets():
        lost = []
        for message in read(target):
            if isinstance(message.id, str) and message.string and recognising.is_form(message.id):
                values = {name: f"x{place}" for place, name in enumerate(recognising.HOLE.findall(message.id))}
                bare = recognising.HOLE.sub(r"{\1}", message.id)
                expected = recognising.HOLE.sub(r"{\1}", catalogue(target).gettext(message.id)).format(**values)
                if recognising.recognise(bare.format(**values), target) != expected:
                    lost.append(message.id)
        assert lost == []
    two = "La machine 10.0.0.9 ne répond pas en SSH. Prévenez la DSI : elle a le détail."
    told = recognising.recognise(two, "en")
    assert "10.0.0.9" in told
    assert "La " not in told
    assert "Prévenez" not in told
    assert recognising.recognise("Rien de connu.", "en") == "Rien de connu."
    # Its figures too are written as their reader writes them; an id stays as it is.
    dear = Text(
        "Le budget est dépassé : {asked} par mois demandés, {held} déjà engagés sur {limit} par mois"
        " ({budget} par an).",
        asked=Decimal("1234.5"), held=Decimal(0), limit=Decimal(-3), budget=Decimal(37),
    )  # fmt: skip
    assert recognising.recognise(str(dear), "en") == language.tell(dear, "en")
    assert "€1,234.50" in language.tell(dear, "en")
    assert recognising.recognise("La commande 12345 sur ce service attend déjà une décision.", "en").count("12345") == 1


@pytest.mark.slow
def test_every_entry_of_the_trail_has_its_words() -> None:
    """What is recorded by a literal name; the trail's page shows words, not codes."""
    recorded: set[str] = set()
    for room in ("api", "tenants", "orchestrator"):
        for path in (extracting.ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record":
                    recorded |= {part.value for part in ast.walk(node.args[1]) if isinstance(part, ast.Constant)}
    assert len(recorded) > 50
    assert {name for name in recorded if "." in name[:-1]} - words.ACTIONS.keys() == set()


def test_the_wheel_holds_the_translations() -> None:
    pyproject = (Path(__file__).parent.parent.parent / "pyproject.toml").read_text()
    assert '"translations/**"' in pyproject
