"""The policy table `roles.yaml`: which roles may do what, and which token scope an act belongs to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tenants.tables_identity import MEMBER_ROLES, SCOPES, TERRITORY_ROLES

TABLE = Path(__file__).parent / "roles.yaml"
ROLES = (*MEMBER_ROLES, *TERRITORY_ROLES)


@dataclass(frozen=True)
class Act:
    """Something that one may or may not do: its token scope and the roles that may."""

    scope: str
    roles: frozenset[str]


@cache
def acts() -> dict[str, Act]:
    """Every act by name (`order.place`). A table that names an unknown role or scope is a ValueError."""
    read = {name: Act(row["scope"], frozenset(row["roles"])) for name, row in _table()["acts"].items()}
    for name, act in read.items():
        if act.scope not in SCOPES or not act.roles or not act.roles <= set(ROLES):
            raise ValueError(f"{TABLE.name}: {name} names an unknown role or scope")
    return read


def allows(act: str, roles: Collection[str], scopes: Collection[str] | None = None) -> bool:
    """Whether who holds `roles` may do `act`; a token only within its `scopes`. KeyError: there is no such act."""
    row = acts()[act]
    return not row.roles.isdisjoint(roles) and (scopes is None or row.scope in scopes)


def titles(kind: str = "titles") -> dict[str, dict[str, str]]:
    """How roles (`titles`) or token scopes (`scopes`) are called: name → language → words."""
    found: dict[str, dict[str, str]] = _table()[kind]
    return found


@cache
def _table() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(TABLE.read_text())
    return read
