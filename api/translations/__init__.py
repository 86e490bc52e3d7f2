"""The sentences of the product in other languages than French, from `<language>/LC_MESSAGES/messages.po`.

The .po is read when it is first needed: there is no compiled file that could be older than its source.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from api.typography import French

HERE = Path(__file__).resolve().parent
SOURCE = "fr"
LANGUAGES = {"fr": "Français", "en": "English"}


def path(language: str) -> Path:
    """Where the sentences of `language` are written."""
    return HERE / language / "LC_MESSAGES" / "messages.po"


def read(language: str) -> Catalog:
    """The sentences of `language` as they are written."""
    with path(language).open("rb") as source:
        return read_po(source, locale=language)


@cache
def catalogue(language: str) -> NullTranslations:
    """The sentences of `language`, ready to look up; French ones are their own translation, typeset."""
    if language == SOURCE:
        return French()
    compiled = BytesIO()
    write_mo(compiled, read(language))
    compiled.seek(0)
    return Translations(compiled)
