"""How amounts, instants, days and sizes are written, in French and in English. Nothing here knows who reads."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from orchestrator.days import PARIS

# The language that people choose → the conventions of its numbers and dates. English readers are in France: euros and
# the day before the month.
LOCALES = {"fr": "fr_FR", "en": "en_GB"}
NOTHING = "—"
PREFIXES = {"fr": ("octets", "Kio", "Mio", "Gio", "Tio"), "en": ("bytes", "KiB", "MiB", "GiB", "TiB")}
# A long table says the same figures again and again, and Babel takes a tenth of a millisecond for each.
REMEMBERED = lru_cache(maxsize=16_384, typed=True)
POWERS = {"B": 0, "KiB": 1, "MiB": 2, "GiB": 3, "TiB": 4}


@REMEMBERED
def amount(value: Decimal | None, language: str = "fr") -> str:
    """1 234,56 € or €1,234.56"""
    return NOTHING if value is None else str(format_currency(value, "EUR", locale=LOCALES[language]))


@REMEMBERED
def price(value: Decimal | None, language: str = "fr") -> str:
    """A unit price, with the decimals it has, at least two: 0,0123 €"""
    pattern = {"fr": "#,##0.00######\xa0¤", "en": "¤#,##0.00######"}[language]
    if value is None:
        return NOTHING
    return str(format_currency(value, "EUR", pattern, locale=LOCALES[language], currency_digits=False))


def delta(value: Decimal | None, language: str = "fr") -> str:
    """A difference with its sign: +12,00 € or −12,00 €"""
    if value is None:
        return NOTHING
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + amount(abs(value), language)


@REMEMBERED
def number(value: Decimal | int | None, language: str = "fr") -> str:
    """1 234,5 or 1,234.5"""
    return NOTHING if value is None else str(format_decimal(value, locale=LOCALES[language]))


def exact(value: Decimal, language: str = "fr") -> str:
    """1 234,5 or 1,234.5, with all the decimals that it has"""
    return str(format_decimal(value, locale=LOCALES[language], decimal_quantization=False))


def decimals(value: Decimal, places: int, language: str = "fr", unit: str = "") -> str:
    """With so many decimals: 1 234,5000; of the unit € or %, which stands where the language wants it."""
    digits = f"#,##0.{'0' * places}"
    if language == "fr":
        pattern = f"{digits}\xa0{unit}" if unit else digits
    else:
        pattern = f"{unit}{digits}" if unit == "€" else f"{digits}{unit}"
    rounded = round(value, places + 2 * (unit == "%")) + 0  # what is nothing has no sign
    return str(format_decimal(rounded, pattern, locale=LOCALES[language]))


def signed_hours(seconds: Decimal, language: str = "fr", *, sign: bool = True) -> str:
    """Seconds as hours, of 0.36 s: +24,0000 h or −0.0167 h; without the plus if not `sign`."""
    hours = round(seconds / 3600, 4) + 0
    before = "−" if hours < 0 else "+" if hours and sign else ""
    return f"{before}{decimals(abs(hours), 4, language)}\xa0h"


def percent(share: Decimal | None, language: str = "fr") -> str:
    """0.256 → 26 % or 26%"""
    if share is None:
        return NOTHING
    return _hundredths(int((share * 100).quantize(Decimal(1), ROUND_HALF_EVEN)), language)


@REMEMBERED
def _hundredths(count: int, language: str) -> str:
    return str(format_percent(Decimal(count) / 100, locale=LOCALES[language]))


@REMEMBERED
def size(count: Decimal | int | None, unit: str = "GiB", language: str = "fr", into: str | None = None) -> str:
    """A quantity of memory or disk, given in `unit`, in the biggest unit that leaves it whole: 2048 MiB → 2 Gio

    into: always in this one, with one decimal at most, for what is compared: 400000 MiB → 390,6 Gio.
    """
    if count is None:
        return NOTHING
    exact, power = Decimal(count), POWERS[unit]
    if into is not None:
        exact, power = exact * Decimal(1024) ** (power - POWERS[into]), POWERS[into]
        told = number(exact.quantize(Decimal("0.1"), ROUND_HALF_UP), language)
        return f"{told}\xa0{PREFIXES[language][power]}"
    while exact >= 1024 and exact % 1024 == 0 and power < 4:
        exact, power = exact / 1024, power + 1
    return f"{number(exact, language)}\xa0{PREFIXES[language][power]}"


def weight(count: int | None, language: str = "fr") -> str:
    """So many bytes, in the biggest unit of which there is one, with one decimal at most: 1536 → 1,5 Kio"""
    if count is None:
        return NOTHING
    power = min((max(count, 1).bit_length() - 1) // 10, len(PREFIXES["fr"]) - 1)
    told = number((Decimal(count) / 1024**power).quantize(Decimal("0.1"), ROUND_HALF_UP), language)
    return f"{told}\xa0{PREFIXES[language][power]}"


def instant(at: datetime | None, language: str = "fr", zone: ZoneInfo = PARIS, *, seconds: bool = False) -> str:
    """23/11/2026 14:05, or 14:05:09 with seconds, on the clocks of `zone`."""
    if at is None:
        return NOTHING
    # The same in both languages, and twenty times quicker than Babel.
    return at.astimezone(zone).strftime("%d/%m/%Y %H:%M:%S" if seconds else "%d/%m/%Y %H:%M")


def clock(at: datetime | None, zone: ZoneInfo = PARIS) -> str:
    """14:05:09"""
    return NOTHING if at is None else at.astimezone(zone).strftime("%H:%M:%S")


@REMEMBERED
def day(at: date | datetime | None, language: str = "fr", zone: ZoneInfo = PARIS) -> str:
    """23/11/2026; of an instant, the day it falls on in `zone`."""
    if at is None:
        return NOTHING
    on = at.astimezone(zone).date() if isinstance(at, datetime) else at
    return on.strftime("%d/%m/%Y")


def long_day(at: date | datetime, language: str = "fr", zone: ZoneInfo = PARIS) -> str:
    """lundi 23 novembre 2026"""
    on = at.astimezone(zone).date() if isinstance(at, datetime) else at
    return str(format_date(on, "EEEE d MMMM yyyy", locale=LOCALES[language]))


@REMEMBERED
def month(label: str, language: str = "fr") -> str:
    """2026-10 → octobre 2026"""
    year, _, number_ = label.partition("-")
    return str(format_date(date(int(year), int(number_), 1), "MMMM yyyy", locale=LOCALES[language]))


def of_month(label: str, language: str = "fr") -> str:
    """2026-10 → d’octobre 2026, 2026-03 → de mars 2026; of October 2026"""
    told = month(label, language)
    if language == "en":
        return f"of {told}"
    return f"d’{told}" if told[0] in "ao" else f"de {told}"


def span(lasted: timedelta | float | None, language: str = "fr") -> str:
    """How long: 42 s, 1 min 05 s, 2 h 10 min, 3 j 4 h (3 d 4 h)"""
    if lasted is None:
        return NOTHING
    seconds = int(lasted.total_seconds() if isinstance(lasted, timedelta) else lasted)
    minutes, hours = seconds // 60, seconds // 3600
    if seconds < 60:
        return f"{seconds}\xa0s"
    if minutes < 60:
        return f"{minutes}\xa0min {seconds % 60:02}\xa0s"
    if hours < 48:
        return f"{hours}\xa0h {minutes % 60:02}\xa0min"
    return f"{hours // 24}\xa0{'d' if language == 'en' else 'j'} {hours % 24}\xa0h"


def cell(value: Any, language: str = "fr", zone: ZoneInfo = PARIS) -> str:
    """Any value as a reader expects it in a table."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return {"fr": ("non", "oui"), "en": ("no", "yes")}[language][value]
    if isinstance(value, Decimal):
        return number(value, language)
    if isinstance(value, datetime):
        return instant(value, language, zone, seconds=True)
    if isinstance(value, date):
        return day(value, language, zone)
    return str(value)
