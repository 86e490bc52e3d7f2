"""JSON as programs may rely on (RFC 8259, RFC 7493): each name once in an object, and no number that is none."""

from __future__ import annotations

from typing import Any, NoReturn

from flask.json.provider import DefaultJSONProvider


class StrictJSON(DefaultJSONProvider):
    """Flask's own, but what two readers could understand differently is not read. Refused as broken JSON: 400."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """The value of a text. Raises ValueError."""
        return super().loads(s, object_pairs_hook=_once, parse_constant=_refuse, **kwargs)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return read


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
