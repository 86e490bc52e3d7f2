"""French pages: no line begins with a colon or ends with an opening guillemet; code keeps its plain spaces."""

from __future__ import annotations

import re

import pytest
from apiflask import APIFlask

from api.translations import catalogue
from api.typography import THIN, WIDE, typeset
from tests.api.conftest import Caller

BREAKS = re.compile(r"\S [:;!?»]|« ")
CODE = re.compile(r"<(code|pre|kbd|script|style|textarea)\b.*?</\1>|<[^>]*>", re.DOTALL)
PAGES = ("/", "/services", "/orders", "/statements", "/register", "/webhooks", "/accessibilite", "/plan-du-site",
         "/nowhere")  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("Prix : 3", f"Prix{WIDE}: 3"),
        ("Le nom « web » est pris ; vraiment ?", f"Le nom «{WIDE}web{WIDE}» est pris{THIN}; vraiment{THIN}?"),
        ("Vite !", f"Vite{THIN}!"),
        ("Lancez <code>clocher x : y</code> : tout va.", f"Lancez <code>clocher x : y</code>{WIDE}: tout va."),
        ('<a href="/a ?b" title="c">d</a> ?', f'<a href="/a ?b" title="c">d</a>{THIN}?'),
        ("à 14:05, https://x.fr/?a=1;b", "à 14:05, https://x.fr/?a=1;b"),
        ("%(sum)s : %(day)s", f"%(sum)s{WIDE}: %(day)s"),
        ("", ""),
    ],
)
def test_spaces_that_must_not_break(typed: str, printed: str) -> None:
    assert typeset(typed) == printed
    assert typeset(printed) == printed


def test_french_is_its_own_translation_and_counts_as_french_does() -> None:
    french = catalogue("fr")
    assert french.gettext("Quoi ?") == f"Quoi{THIN}?"
    assert [french.ngettext("jour", "jours", count) for count in (0, 1, 2)] == ["jour", "jour", "jours"]
    assert catalogue("en").gettext("Prévenez la DSI.") == "Tell the IT department."


@pytest.mark.slow
def test_no_sentence_of_a_page_breaks_before_its_colon(app: APIFlask, brevaux: Caller) -> None:
    assert brevaux.person is not None
    reader = brevaux.person.client()
    told = {}
    for path in PAGES:
        shown = CODE.sub("\0", reader.get(path).text)
        told[path] = BREAKS.findall(shown)
    assert told == {path: [] for path in PAGES}
