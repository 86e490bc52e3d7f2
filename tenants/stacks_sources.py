"""Applications from elsewhere: what the installation's settings name no archive of is shown and can't be ordered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import Conflict, Text
from orchestrator.settings import Source
from tenants.stacks import Declared
from tenants.tables import Offer

Sources = Mapping[str, Mapping[str, Source]]


def sourced(stack: Declared, sources: Sources) -> Declared:
    """A stack with the versions that there is an archive of; with none at all it keeps them, and awaits its source."""
    if "external" not in stack.sources:
        return stack
    named = sources.get(stack.slug, {})
    found = [version for version in stack.versions if version.version in named]
    return stack.model_copy(update={"versions": found or stack.versions, "awaits_source": None if found else True})


def check(offer: Offer) -> None:
    """Raise Conflict source_missing while an offer awaits its source."""
    if (offer.stack or {}).get("awaits_source"):
        raise missing(offer.title)


def missing(title: dict[str, Any]) -> Conflict:
    """The error that says what must be set before an application can be made."""
    return Conflict(
        "source_missing",
        Text("« {offer} » ne peut pas encore être commandé : son archive n’a pas été fournie.", offer=title),
        "La DSI en indique l’adresse et l’empreinte dans CLOCHER_STACKS_SOURCES, puis publie le catalogue.",
    )
