"""`python -m api.translations update|check`: bring the translations up to date with the sources; say what is wrong."""

from __future__ import annotations

import re
import sys
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import write_po

from api.translations import LANGUAGES, SOURCE, extracting, path, read

LONG = 20  # letters: a sentence, which a merge may have doubled
VALUE = re.compile(r"%\((\w+)\)|\{(\w+)")
HEADER = "English sentences of Clocher. Written by `python -m api.translations update`; the msgstr are ours."


def targets() -> list[str]:
    """The languages that are translated into."""
    return [language for language in LANGUAGES if language != SOURCE]


def updated(language: str) -> Catalog:
    """The sentences of `language` as the sources want them: new ones are empty, those that are gone are gone."""
    known, wanted = read(language), extracting.catalogue()
    made = Catalog(locale=language, project="clocher", header_comment=f"# {HEADER}")
    for message in sorted((m for m in wanted if m.id), key=_place):
        files = [(file, 0) for file in sorted({file for file, _line in message.locations})]
        before = known.get(message.id if isinstance(message.id, str) else message.id[0])
        same = before is not None and before.id == message.id
        made.add(message.id, before.string if same and before else None, locations=files, flags=message.flags)
    return made


def _place(message: Message) -> tuple[str, int, str]:
    file, line = min(message.locations)
    return file, line, str(message.id)


def written(catalogue: Catalog) -> bytes:
    """The .po file; without dates, so that it changes only with what it says."""
    file = BytesIO()
    write_po(file, catalogue, width=120, include_lineno=False, omit_header=True)
    head = (
        f'# {HEADER}\nmsgid ""\nmsgstr ""\n"Project-Id-Version: clocher\\n"\n"Language: {catalogue.locale}\\n"\n'
        '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n"MIME-Version: 1.0\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n\n'
    )
    return head.encode() + file.getvalue()


def faults(language: str) -> list[str]:
    """What is wrong with the translations into `language`; nothing when they are complete and right."""
    found, present = [], read(language)
    if {_key(m) for m in present if m.id} != {_key(m) for m in extracting.catalogue() if m.id} or present.obsolete:
        found.append("not up to date with the sources: run `python -m api.translations update`")
    for message in present:
        if not message.id:
            continue
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string or ("",))
        if message.fuzzy or not all(strings):
            found.append(f"not translated: {ids[0]}")
        elif {v for text in ids for v in VALUE.findall(text)} != {v for text in strings for v in VALUE.findall(text)}:
            found.append(f"other values than in French: {ids[0]}")
        elif any(len(text) > LONG and text == text[: len(text) // 2] * 2 for text in strings):
            found.append(f"said twice: {ids[0]}")
    return found


def _key(message: Message) -> str | tuple[str, ...]:
    return message.id if isinstance(message.id, str) else tuple(message.id)


def main(words: list[str]) -> int:
    if words not in (["update"], ["check"]):
        print(__doc__)  # noqa: T201
        return 2
    wrong = 0
    for language in targets():
        if words == ["update"]:
            Path(path(language)).write_bytes(written(updated(language)))
        for fault in faults(language):
            wrong += 1
            print(f"{language}: {fault}")  # noqa: T201
    return 1 if wrong and words == ["check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
