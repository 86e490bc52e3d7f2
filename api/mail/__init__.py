"""How mails look: one template for each, in HTML; the text part says the same, made from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api import formats, words
from api.language import tell
from api.translations import catalogue
from orchestrator.settings import Settings
from tenants.mails import Render, Rendered

HERE = Path(__file__).resolve().parent


def renderer(settings: Settings, territory: str) -> Render:
    """What fills templates for this installation. Raises jinja2's errors for an unknown template or a missing fact."""

    def render(template: str, language: str, facts: Mapping[str, Any]) -> Rendered:
        made = environment(language)
        page, frame = made.get_template(f"{template}.html"), made.get_template("frame.html")
        link = settings.public_url + facts["path"] if "path" in facts else None
        shown = {**facts, "language": language, "territory": territory, "link": link}
        context = page.new_context(shown)
        said = {
            name: plain("".join((page.blocks.get(name) or frame.blocks[name])(context)))
            for name in ("subject", "hello", "said", "act", "why")
        }
        way = f"{said['act']}\n{link}" if link else ""
        text = "\n\n".join(filter(None, (said["hello"], said["said"], way, f"-- \n{said['why']}")))
        return Rendered(said["subject"], text + "\n", page.render(shown))

    return render


@cache
def environment(language: str) -> Environment:
    """Where the mails of a language are made."""
    made = Environment(  # autoescape below: every value of a mail is somebody's text
        loader=FileSystemLoader(HERE),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(catalogue(language), newstyle=True)  # type: ignore[attr-defined]
    made.filters.update(
        amount=lambda text: formats.amount(Decimal(text), language),
        delta=lambda text: formats.delta(Decimal(text), language),
        day=lambda text: _day(text, language),
        instant=lambda text: formats.instant(datetime.fromisoformat(text), language),
        month=lambda label: formats.month(label, language),
        word=lambda code, table: catalogue(language).gettext(words.french(code, table)),
        task=lambda name: words.task(name) or name if language == "fr" else name,
        tell=lambda sentence: tell(sentence, language),
    )
    return made


def _day(text: str, language: str) -> str:
    return formats.day(datetime.fromisoformat(text), language)


class _Plain(HTMLParser):
    """The text of our own simple HTML: paragraphs, lists, line breaks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines = [""]

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag == "p" or (tag == "ul" and self.lines[-1]):
            self.lines += ["", ""]
        elif tag == "li":
            self.lines.append("- ")
        elif tag == "br":
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        self.lines[-1] += data.replace("\n", " ")


def plain(html: str) -> str:
    """What a piece of a mail says, without its markup."""
    parser = _Plain()
    parser.feed(html)
    parser.close()
    told: list[str] = []
    for line in parser.lines:
        words = " ".join(filter(None, line.split(" ")))  # not split(): a non-breaking space stays
        if words or (told and told[-1]):
            told.append(words)
    return "\n".join(told).strip("\n")
