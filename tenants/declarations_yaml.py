"""YAML as declarations use it: texts, lists and mappings, each with the line where it stands.

Scalars stay texts, so nothing is guessed: an INSEE code keeps its leading zero, an amount never becomes a float,
`no` is not a boolean. What a text means is the schema's business.
"""

from __future__ import annotations

from typing import Any

import yaml

Path = tuple[str | int, ...]
# What PyYAML lets escape of a value that is none: the 30th of February, `!!int x`, a number of 5,000 digits.
UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)


class BrokenYaml(ValueError):
    """The text can't be read as a declaration; `line` counts from 1."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line, self.sentence = line, sentence


def parse(text: str) -> tuple[Any, dict[Path, int]]:
    """The document, and the line of each of its parts by path; raises BrokenYaml."""
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BrokenYaml(mark.line + 1 if mark else 1, f"YAML illisible ({error.problem})") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BrokenYaml(1, "YAML illisible (caractère interdit ou imbrication trop profonde)") from error
    lines: dict[Path, int] = {}
    return (None if node is None else _read(node, (), lines, set())), lines


def load_yaml(text: str) -> Any:
    """The document with YAML's own types: numbers, days, yes and no. Raises BrokenYaml."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BrokenYaml(mark.line + 1 if mark else 1, " ".join(str(error).split())) from error
    except UNREADABLE as error:
        raise BrokenYaml(1, "YAML illisible (valeur impossible ou imbrication trop profonde)") from error


def _read(node: yaml.Node, path: Path, lines: dict[Path, int], seen: set[int]) -> Any:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise BrokenYaml(line, "un alias YAML (*nom) n’est pas accepté ici")
    seen.add(id(node))
    lines.setdefault(path, line)
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_read(item, (*path, position), lines, seen) for position, item in enumerate(node.value)]
    return _read_mapping(node, path, lines, seen)


def _read_mapping(node: yaml.Node, path: Path, lines: dict[Path, int], seen: set[int]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise BrokenYaml(line, "une clé doit être un mot")
        if key.value in values:
            raise BrokenYaml(line, f"la clé « {key.value} » est écrite deux fois")
        lines[*path, key.value] = line
        values[key.value] = _read(value, (*path, key.value), lines, seen)
    return values
