"""A sentence that was stored in French, in another language: the catalogue knows the form it was filled into.

What a flow writes down (`flows.error_sentence`, a step's message) is text for the terminal, mails and exports alike;
its template is found again by its fixed words. A sentence of no known form stays French.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache, lru_cache

from api import formats
from api.translations import catalogue, read

HOLE = re.compile(r"\{(\w+)(?:![rs])?(?::[^{}]*)?\}")
THIN = "\u202f"  # a narrow no-break space, between thousands
FIGURE = re.compile(rf"(?P<number>-?[0-9]{{1,3}}(?:{THIN}[0-9]{{3}})*(?:,[0-9]+)?)(?P<euros>\xa0€)?")
LETTERS = 6  # of its own that a template must have
SENTENCE_END = re.compile(r"(?<=[.!?…]) ")


@lru_cache(maxsize=4096)
def recognise(sentence: str, language: str) -> str:
    """`sentence`, or the sentences that it is joined from (what happened, what to do), in `language`."""
    whole = _one(sentence, language)
    if whole is not None:
        return whole
    for joint in SENTENCE_END.finditer(sentence):
        first, rest = _one(sentence[: joint.start()], language), sentence[joint.end() :]
        if first is not None:
            return f"{first} {recognise(rest, language)}"
    return sentence


def _one(sentence: str, language: str) -> str | None:
    words = catalogue(language)
    told = words.gettext(sentence)
    if told != sentence:
        return told
    for form, template in _forms(language):
        found = form.fullmatch(sentence)
        if found:
            return HOLE.sub(r"{\1}", words.gettext(template)).format(
                **{name: _figure(value, language) for name, value in found.groupdict().items()}
            )
    return None


def _figure(value: str, language: str) -> str:
    """An amount, or a number with a decimal or a thousand, as the other language writes it; any other value stays."""
    found = FIGURE.fullmatch(value)
    if not found or value.isdecimal():
        return value
    exact = Decimal(found["number"].replace(THIN, "").replace(",", "."))
    return formats.amount(exact, language) if found["euros"] else formats.exact(exact, language)


@cache
def _forms(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Each template with values, as a pattern; the wordiest first, so that the most particular one wins."""
    templates = [m.id for m in read(language) if isinstance(m.id, str) and m.string and is_form(m.id)]
    return [(_form(template), template) for template in sorted(templates, key=lambda t: -len(HOLE.sub("", t)))]


def is_form(template: str) -> bool:
    """Whether a template has values, and enough words of its own to be recognised by (`{path}: {why}` is any text)."""
    return HOLE.search(template) is not None and len(re.findall(r"[^\W\d_]", HOLE.sub("", template))) >= LETTERS


def _form(template: str) -> re.Pattern[str]:
    parts, at, seen = [], 0, set()
    for hole in HOLE.finditer(template):
        parts.append(re.escape(template[at : hole.start()]))
        parts.append(f"(?P={hole[1]})" if hole[1] in seen else f"(?P<{hole[1]}>.+?)")
        seen.add(hole[1])
        at = hole.end()
    return re.compile("".join([*parts, re.escape(template[at:])]), re.DOTALL)
