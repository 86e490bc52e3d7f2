"""Which language the reader has, and our texts in it. French unless a reader wants English.

A page asks, in this order: `?lang=`, the cookie that it left, the account, the browser. The API asks Accept-Language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo

from babel.support import NullTranslations
from flask import Flask, Response, current_app, g, has_app_context, request
from flask_babel import Babel, Domain, get_locale
from markupsafe import Markup

from api import auth, formats, words
from api.recognising import recognise
from api.translations import LANGUAGES, SOURCE, catalogue
from api.typography import typeset
from orchestrator.errors import Number, Text
from orchestrator.settings import Settings
from tenants import statements, trade_meters

COOKIE = "clocher_language"
PROGRAMS = "/api/v1/"
NAMED = re.compile(r"(?:account|token) \d+ \((.+)\)")
YEAR = 365 * 24 * 3600
TRADE = {"meter": trade_meters.labels, "unit": trade_meters.units}  # words that stacks bring


class Sentences(Domain):  # type: ignore[misc]  # flask_babel has no types
    """Where Flask-Babel finds our sentences."""

    def get_translations(self) -> NullTranslations:
        return catalogue(current())


def install(app: Flask, settings: Settings) -> None:
    """Let `app` speak the reader's language: gettext, filters for templates, the lang= switch."""
    babel = Babel(
        app, default_locale=SOURCE, locale_selector=_choose, default_timezone=settings.timezone, configure_jinja=True
    )
    babel.domain_instance = Sentences()
    app.extensions["zone"] = ZoneInfo(settings.timezone)
    env = app.jinja_env
    env.policies["ext.i18n.trimmed"] = True
    env.trim_blocks = env.lstrip_blocks = True
    env.filters.update(
        word=word, task=task, subject=subject, actor=actor, mood=words.mood, tell=show, local=local, typed=typed,
        amount=amount, price=price, delta=delta, hours=hours, number=number, percent=percent, size=size, weight=weight,
        instant=instant, clock=clock, day=day, last_day=last_day, long_day=long_day, month=month,
        of_month=of_month, span=span, lasted=lasted, cell=cell, badge=badge, metered=metered, served=served,
    )  # fmt: skip
    env.filters.update(french=word, euros=amount)
    env.globals.update(language=current, languages=LANGUAGES, gettext=sentence, ngettext=sentences, _=sentence)
    app.after_request(_remember)


def _choose() -> str:
    if request.path.startswith(PROGRAMS):
        return request.accept_languages.best_match(LANGUAGES, SOURCE)
    wishes = (
        request.args.get("lang"),
        request.cookies.get(COOKIE),
        getattr(g.get("caller"), "language", None),
        request.accept_languages.best_match(LANGUAGES),
    )
    return next((wish for wish in wishes if wish in LANGUAGES), SOURCE)


def _remember(answer: Response) -> Response:
    answer.headers["Content-Language"] = current()
    if request.path.startswith(PROGRAMS):
        answer.vary.add("Accept-Language")
    elif request.args.get("lang") in LANGUAGES:
        secure = request.is_secure
        answer.set_cookie(COOKIE, current(), max_age=YEAR, secure=secure, httponly=True, samesite="Lax")
    return answer


def current() -> str:
    """The reader's language; French where nobody reads (a command)."""
    if not has_app_context():
        return SOURCE
    known: str | None = g.get("language")
    if known is None:  # a page asks a thousand times
        locale = get_locale()
        known = g.language = SOURCE if locale is None else cast(str, locale.language)
    return known


def sentence(text: str, /, **values: Any) -> Markup:
    """What templates call `_`: as Jinja's newstyle gettext, which takes four times as long."""
    return _marked(text, current()) % values if values else _plain(text, current())


def sentences(one: str, many: str, count: int, /, **values: Any) -> Markup:
    """What templates call `ngettext`; `num` is the count, its thousands apart."""
    told = catalogue(current()).ngettext(one, many, count).replace("%(num)d", "%(num)s")
    return Markup(told) % ({"num": number(count)} | values)  # noqa: S704  (a sentence of ours; values are escaped)


@lru_cache(maxsize=4096)
def _marked(text: str, language: str) -> Markup:
    return Markup(catalogue(language).gettext(text))  # noqa: S704  (a sentence of ours; values are escaped)


@lru_cache(maxsize=4096)
def _plain(text: str, language: str) -> Markup:
    return _marked(text, language) % {}


def tell(sentence: str | None, language: str | None = None) -> str:
    """A sentence of ours in the reader's language. One that was stored is recognised by its form; any other stays."""
    language = language or current()
    if not sentence or language == SOURCE:
        return str(sentence or "")
    if isinstance(sentence, Text):
        return _fill(sentence, language)
    return recognise(sentence, language)


def show(sentence: str | None) -> str:
    """`tell` in a page: French is typeset. The API's answers and the CLI keep plain spaces, which programs compare."""
    told = tell(sentence)
    return typeset(told) if current() == SOURCE else told


def _fill(text: Text, language: str) -> str:
    values = {name: _written(value, language) for name, value in text.values.items()}
    return catalogue(language).gettext(text.template).format(**values)


def _written(value: Any, language: str) -> Any:
    if isinstance(value, Text):
        return _fill(value, language)
    if isinstance(value, Mapping):
        return value.get(language) or value[SOURCE]
    if isinstance(value, Number):
        return formats.exact(value, language)
    if isinstance(value, Decimal):
        return formats.amount(value, language)
    return formats.day(value, language) if isinstance(value, date) else value


def word(code: str | None, table: str, language: str | None = None) -> str:
    """The word for a code of ours, such as a state; one that is in no table is shown as it is."""
    if code is None:
        return ""
    if table in TRADE and code not in words.WORDS[table]:
        return _trade(code, table, language or current()) or code
    return _word(code, table, language or current())


def _trade(code: str, table: str, language: str) -> str | None:
    """What an application counts, and its unit, as its stack names them; None where nobody asks for a page."""
    if not g or not g.get("caller"):
        return None
    if "trade" not in g:
        with auth.scope() as session:
            g.trade = {name: read(session) for name, read in TRADE.items()}
    label: dict[str, str] = g.trade[table].get(code, {})
    return label.get(language) or label.get(SOURCE)


@lru_cache(maxsize=4096)
def _word(code: str, table: str, language: str) -> str:
    noun, rest = words.split(code, table)
    return " ".join([catalogue(language).gettext(words.french(noun, table)), *rest])


def metered(line: Mapping[str, Any], language: str | None = None) -> str:
    """What a line of a statement is for, and which step of the price it is in."""
    read_in = language or current()
    ours = line["meter"] in words.WORDS["meter"]
    name = word(line["meter"], "meter", read_in) if ours else _trade(line["meter"], "meter", read_in)
    if not line.get("step") or not name:
        return name or str(line["label"])  # which names the step itself
    gettext = catalogue(read_in).gettext
    if line["step"] > 1:
        return name + gettext(", au-delà de %(units)s") % {"units": formats.number(Decimal(line["above"]), read_in)}
    told = gettext(", franchise de %(units)s") if not Decimal(line["hourly"]) else gettext(", jusqu’à %(units)s")
    return name + told % {"units": formats.number(Decimal(line["upto"]), read_in)}


def served(service: str, language: str | None = None) -> str:
    """The service of a line of a statement, or the words of a line that is no single one's."""
    return catalogue(language or current()).gettext(service) if service == statements.ALL_SERVICES else service


def badge(code: str, table: str) -> Markup:
    """The word for a state, with its sign and colour: a long list shows it on each row."""
    return _badge(code, table, current())


@lru_cache(maxsize=4096)
def _badge(code: str, table: str, language: str) -> Markup:
    said = _word(code, table, language)
    return Markup('<span class="state state-{}">{}</span>').format(words.mood(code), said)


def task(name: str) -> str:
    """A task of Ansible in the reader's language. A name that stays English in a French page is marked as such."""
    if current() != SOURCE:
        return name
    told = words.task(name)
    return typeset(told) if told else Markup('<span lang="en">{}</span>').format(name)


def subject(text: str) -> str:
    """What the audit trail calls `order 42`, in words: commande 42. A noun may have two words: `price draft 3`."""
    noun, _, rest = text.rpartition(" ")
    if noun not in words.NOUNS:
        noun, _, rest = text.partition(" ")
    return f"{word(noun, 'noun')} {rest}".strip()


def actor(text: str) -> str:
    """Who did something: the name of a person (`account 3 (Claire Morel)`), or what did it."""
    named = NAMED.fullmatch(text)
    return named[1] if named else subject(text)


def local(texts: Mapping[str, str] | None) -> str:
    """Of a text that is declared in both languages ({fr: …, en: …}), the reader's."""
    if not texts:
        return ""
    return texts.get(current()) or typeset(texts[SOURCE])


def typed(text: str | None) -> str:
    """What people here wrote, in French: marked as such for who reads English, so that it is read out rightly."""
    return Markup('<span lang="{}">{}</span>').format(SOURCE, text) if text and current() != SOURCE else text or ""


def _zone() -> ZoneInfo:
    return cast(ZoneInfo, current_app.extensions["zone"])


def amount(value: Decimal | None) -> str:
    """1 234,56 €"""
    return formats.amount(value, current())


def price(value: Decimal | None) -> str:
    """0,0123 €"""
    return formats.price(value, current())


def delta(value: Decimal | None) -> str:
    """+12,00 €"""
    return formats.delta(value, current())


def hours(seconds: Decimal, sign: bool = True) -> str:
    """+24,0000 h, of seconds"""
    return formats.signed_hours(seconds, current(), sign=sign)


def number(value: Decimal | int | None) -> str:
    """1 234,5"""
    return formats.number(value, current())


def percent(share: Decimal | None) -> str:
    """0.26 → 26 %"""
    return formats.percent(share, current())


def size(count: Decimal | int | None, unit: str = "GiB", into: str | None = None) -> str:
    """`{{ ram_mib | size('MiB') }}` → 2 Gio"""
    return formats.size(count, unit, current(), into)


def weight(count: int | None) -> str:
    """1,5 Kio"""
    return formats.weight(count, current())


def instant(at: datetime | None, seconds: bool = False) -> str:
    """23/11/2026 14:05"""
    return formats.instant(at, current(), _zone(), seconds=seconds)


def clock(at: datetime | str | None) -> str:
    """14:05:09; of an instant, or of its ISO text in a stored document."""
    return formats.clock(datetime.fromisoformat(at) if isinstance(at, str) else at, _zone())


def day(at: date | datetime | str | None) -> str:
    """23/11/2026; of a day, an instant, or a day's ISO text in a stored document."""
    return formats.day(date.fromisoformat(at) if isinstance(at, str) else at, current(), _zone())


def last_day(end: datetime) -> str:
    """The last day of a span that ends, exclusively, at `end`: midnight of the 1st → the 31st."""
    return formats.day(end - timedelta(microseconds=1), current(), _zone())


def long_day(at: date | datetime) -> str:
    """lundi 23 novembre 2026"""
    return formats.long_day(at, current(), _zone())


def month(label: str) -> str:
    """2026-10 → octobre 2026"""
    return formats.month(label, current())


def of_month(label: str) -> str:
    """2026-10 → d’octobre 2026"""
    return formats.of_month(label, current())


def span(lasted: Any) -> str:
    """1 min 05 s, of a timedelta or of seconds"""
    return formats.span(lasted, current())


def lasted(row: Any) -> str:
    """How long a step or flow took, or takes; nothing for what has not begun."""
    if row.started_at is None:
        return ""
    return formats.span((row.ended_at or datetime.now(UTC)) - row.started_at, current())


def cell(value: Any) -> str:
    """Any value as a table shows it."""
    return formats.cell(value, current(), _zone())
