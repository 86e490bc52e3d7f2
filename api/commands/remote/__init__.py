"""Nouns of the command line that work against another installation, by its API (`clocher --url`).

What comes back is read by the schemas of the API, so that the output is that of the commands that work here.
"""

from __future__ import annotations

from typing import Any

import click
from pydantic import BaseModel

from api.client import Client, connect


def client() -> Client:
    """The API at the address that was given."""
    return connect(click.get_current_context().find_root().params["url"])


def read(kind: type[BaseModel], answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with instants and amounts in Python's types."""
    return kind.model_validate(answer).model_dump(by_alias=True)


def pages(far: Client, path: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    """The first `limit` rows of a list, page after page."""
    rows: list[dict[str, Any]] = []
    while len(rows) < limit:
        page = far.call("GET", path, limit=min(200, limit - len(rows)), **query)
        rows += page["items"]
        query["after"] = page["next"]
        if page["next"] is None:
            break
    return rows
