"""French sentences as they are printed: the space before `: ; ! ?` and inside « » never ends a line.

Sources are typed with plain spaces; this is applied once, where a sentence of ours is about to be read in a page.
"""

from __future__ import annotations

import re
from functools import lru_cache

from babel.support import NullTranslations

# Imprimerie nationale: a word space before a colon and inside guillemets, a thin one before ; ! ?
WIDE, THIN = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
CODE = re.compile(r"(<(?P<name>code|pre|kbd)\b.*?</(?P=name)>|<[^>]*>)", re.DOTALL)


@lru_cache(maxsize=8192)
def typeset(sentence: str) -> str:
    """`sentence` with spaces that do not break; what stands in its tags, or as code, is left as it is."""
    pieces = CODE.split(sentence)
    # split gives a text, then a tag and that tag's name, and so on.
    return "".join(_joined(piece) if place % 3 == 0 else piece for place, piece in enumerate(pieces) if place % 3 != 2)


def _joined(text: str) -> str:
    text = re.sub(r" (?=[:»])|(?<=«) ", WIDE, text)
    return re.sub(r" (?=[;!?])", THIN, text)


class French(NullTranslations):
    """French sentences are their own translation, typeset."""

    def gettext(self, message: str) -> str:
        return typeset(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """French says 0 and 1 in the singular."""
        return typeset(msgid1 if abs(n) < 2 else msgid2)

    # What Flask-Babel calls.
    ugettext, ungettext = gettext, ngettext
