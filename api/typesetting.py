"""Papers: a template of `api/papers/` and what it shows become a PDF, tagged for screen readers (PDF/UA-1).

What it shows goes in as JSON and is never run. Fonts are those that the library brings, so that a paper is the same to
the byte wherever it is made; nothing is fetched. A letter that they lack is shown as �: nobody's name stops a paper.
"""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst

PAPERS = Path(__file__).parent / "papers"
# Latin, Greek, Cyrillic; punctuation, currencies, arrows, the minus sign.
KNOWN = (
    (0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x45F), (0x1E00, 0x1EFF), (0x2010, 0x2027), (0x202F, 0x203A),
    (0x20A0, 0x20BF), (0x2190, 0x2193), (0x2212, 0x2212),
)  # fmt: skip
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def pdf(paper: str, shown: dict[str, Any], made: datetime, *, carried: bytes | None = None) -> bytes:
    """The paper of that name. made: the date that it bears; carried: the invoice that it carries, as XML (PDF/A-3)."""
    made_of = {"data": json.dumps(printable(shown), ensure_ascii=False), "carried": (carried or b"").decode()}
    return typst.compile(
        PAPERS / f"{paper}.typ", root=PAPERS, sys_inputs=made_of, font_paths=_fonts(), ignore_system_fonts=True,
        pdf_standards=["a-3a", "ua-1"] if carried else ["ua-1"], timestamp=int(made.timestamp()),
    )  # fmt: skip


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False)


def printable(value: Any) -> Any:
    """A value of any depth whose texts hold only letters that we can print."""
    if isinstance(value, str):
        return "".join(map(_letter, unicodedata.normalize("NFC", value)))
    if isinstance(value, dict):
        return {name: printable(one) for name, one in value.items()}
    return [printable(one) for one in value] if isinstance(value, list | tuple) else value


def _letter(letter: str) -> str:
    if letter in "\t\n\r":
        return " "
    known = any(first <= ord(letter) <= last for first, last in KNOWN) and unicodedata.category(letter) != "Cn"
    return letter if known else UNKNOWN
