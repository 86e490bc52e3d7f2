"""One tree of errors. A code, once published, never changes: programs depend on it.

Every error says in a sentence what happened and what to do next; both are shown to people.
`detail` is for the DSI's eyes and logs only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from babel.numbers import format_currency, format_decimal

from orchestrator.days import day_of


class Number(Decimal):
    """A value of a Text that counts or measures, where a Decimal alone is euros: 65 536 or 65,536. An id is an int."""


class Text(str):
    """A sentence with its values filled in that still knows its template, so that another language can fill its own.

    `Text("Le nom « {name} » est déjà pris.", name=name)` is the French sentence, wherever a string is wanted.
    A value may be a Text itself, words declared in both languages ({"fr": …, "en": …}), an amount of euros (Decimal), a
    count (Number), a day (date) or an instant, of which the French day is told: each language writes them its own way.
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Text:
        made = super().__new__(cls, template.format(**{name: _written(value) for name, value in values.items()}))
        made.template, made.values = template, values
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return _refill, (self.template, self.values)


def N_(text: str) -> str:  # noqa: N802  (the name that gettext's world knows)
    """Mark a text where it is declared; it is translated where it is shown."""
    return text


def example(number: str) -> dict[str, str]:
    """A value of a Text: a number as somebody may type it, `1840,00` in French."""
    return {"fr": number, "en": number.replace(",", ".")}


def joined(texts: Iterable[str]) -> Text:
    """Sentences one after the other, each still knowing its template."""
    values = {f"sentence_{place}": text for place, text in enumerate(texts)}
    return Text(" ".join(f"{{{name}}}" for name in values), **values)


def _written(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value["fr"]
    if isinstance(value, Number):
        return format_decimal(value, locale="fr_FR", decimal_quantization=False)
    if isinstance(value, Decimal):
        return format_currency(value, "EUR", locale="fr_FR")
    if isinstance(value, datetime):
        value = day_of(value)
    return value.strftime("%d/%m/%Y") if isinstance(value, date) else value


def _refill(template: str, values: dict[str, Any]) -> Text:
    return Text(template, **values)


class ClocherError(Exception):
    """What went wrong, as told to the person who can act on it.

    code: stable snake_case word; sentence: what happened; action: what to do next;
    facts: what a program needs to act on it (the fields at fault, the limit that was met), in JSON's types;
    retryable: the same call may succeed later; definite: nothing that the DSI mends lets the same flow succeed;
    status: HTTP status; exit_status: of the CLI.
    """

    status = 500
    exit_status = 1
    retryable = False
    definite = False

    def __init__(
        self, code: str, sentence: str, action: str = "", *, detail: str = "", facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(code, sentence, action, detail)
        self.code, self.sentence, self.action, self.detail = code, sentence, action, detail
        self.facts = dict(facts or {})

    def __str__(self) -> str:
        return f"{self.sentence} {self.action}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process boundaries (a flow's checkpoint): they must come back whole.
        return _revive, (type(self), self.code, self.sentence, self.action, self.detail, self.facts)


def _revive(
    kind: type[ClocherError], code: str, sentence: str, action: str, detail: str, facts: dict[str, Any]
) -> ClocherError:
    return kind(code, sentence, action, detail=detail, facts=facts)


class InvalidInput(ClocherError):
    """What was given can't be accepted as it is."""

    status, exit_status, definite = 422, 2, True


class Unauthenticated(ClocherError):
    """Nobody, or nobody we know, asks."""

    status, exit_status = 401, 77


class Forbidden(ClocherError):
    """Known, but not allowed."""

    status, exit_status = 403, 77


class NotFound(ClocherError):
    """It does not exist, or not for the one who asks."""

    status, exit_status, definite = 404, 2, True


class Conflict(ClocherError):
    """It does not fit the present state (quota, budget, closed period, live flow)."""

    status, exit_status, definite = 409, 3, True


class Stale(ClocherError):
    """It has changed since the caller read it (If-Match)."""

    status, exit_status = 412, 3


class TooMany(ClocherError):
    """Too often in too short a time; `retry_after` in the facts says how many seconds to wait."""

    status, exit_status, retryable = 429, 75, True


class Unavailable(ClocherError):
    """Something we need does not answer now; nothing was lost."""

    status, exit_status, retryable = 503, 75, True


class WaitedTooLong(ClocherError):
    """A condition did not come true before its own deadline: trying again would only wait as long again."""

    status, exit_status = 504, 75


class FlowCancelled(ClocherError):
    """Somebody asked to stop the flow; what it made is undone."""

    definite = True


class CloudError(ClocherError):
    """The cloud refused in a way that a retry does not mend."""

    status = 502


class CloudUnavailable(CloudError):
    """The cloud did not answer, or answered 5xx: worth another try."""

    status, exit_status, retryable = 503, 75, True


class CloudTokenLost(CloudUnavailable):
    """The cloud no longer accepts our token: worth a try with a new one."""


class CloudQuotaExceeded(CloudError):
    """The cloud's own quota refuses; trying again does not help until someone raises it."""

    status, definite = 409, True


class CloudRefused(CloudError):
    """The cloud won't do what was asked, whoever asks again: another size, another moment, another wish."""

    definite = True


class CloudConflict(CloudError):
    """The thing is busy or in another state (409): worth another try."""

    retryable = True


class CloudNotFound(CloudError):
    """The cloud does not know the thing."""

    status, definite = 404, True
