"""Which sentences the sources hold: gettext's calls, `Text(…)`, the literal sentence and action of our errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from jinja2.ext import babel_extract

from orchestrator import errors


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, errors.ClocherError)


ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("api", "tenants", "orchestrator")
# Name of the function that is called → where its sentences stand.
CALLS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("gettext", "_", "N_", "lazy_gettext", "Text"), (0,)),
    **dict.fromkeys((name for name, kind in vars(errors).items() if _is_error(kind)), (1, 2)),
}
PLURALS = ("ngettext", "lazy_ngettext")
NAMED = ("sentence", "action")  # keyword arguments of errors
OPTIONS = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}

Message = str | tuple[str, str]


@dataclass(frozen=True)
class Found:
    """One sentence and where it stands; a pair when it has a singular and a plural."""

    file: str
    line: int
    message: Message


def catalogue() -> Catalog:
    """All sentences of the sources, each with the files that hold it."""
    made = Catalog(locale=None)
    for found in (*python(), *templates()):
        flags = ["python-brace-format"] if isinstance(found.message, str) and "{" in found.message else []
        made.add(found.message, locations=[(found.file, found.line)], flags=flags)
    return made


def python() -> Iterator[Found]:
    """The sentences of the Python sources of all rooms."""
    for path in _files("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                for message in _said(node):
                    yield Found(str(path.relative_to(ROOT)), node.lineno, message)


def _said(call: ast.Call) -> Iterator[Message]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in PLURALS:
        one, more = (list(_literals(argument)) for argument in call.args[:2])
        if one and more:
            yield one[0], more[0]
        return
    for place in CALLS.get(name, ()):
        if place < len(call.args):
            yield from _literals(call.args[place])
    if name in CALLS:
        for keyword in call.keywords:
            if keyword.arg in NAMED:
                yield from _literals(keyword.value)


def _literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


def templates() -> Iterator[Found]:
    """The sentences of the templates."""
    for path in _files("*.html", "*.txt", "*.xml"):
        with path.open("rb") as source:
            told: Any = babel_extract(source, ("_", "gettext", "ngettext"), (), OPTIONS)
            for line, name, message, _comments in told:
                given = message if isinstance(message, tuple) else (message,)
                texts = [text for text in given if isinstance(text, str)]
                if texts:
                    plural = name == "ngettext" and len(texts) > 1
                    yield Found(str(path.relative_to(ROOT)), line, (texts[0], texts[1]) if plural else texts[0])


def _files(*patterns: str) -> list[Path]:
    return sorted(
        path
        for room in ROOMS
        for pattern in patterns
        for path in (ROOT / room).rglob(pattern)
        if "static" not in path.parts and "migrations" not in path.parts
    )
