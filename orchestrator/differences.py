"""What a play in check mode would change in a guest: read from Ansible's events, told without secrets.

A task that is not to be logged is noticed like any other, its content is not shown.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

DIFF_LENGTH = 4000  # characters of one task's
TOLD = ("name", "path", "state", "enabled", "msg")  # what says why a task would change something that has no diff


@dataclass(frozen=True)
class Difference:
    """A task that would change the guest. kind: `changes`; `secret` when what it would change is not to be shown;
    `fails` when it can't be foreseen, for what comes after it neither. diff: what would change, as people read it.
    """

    task: str
    role: str | None
    kind: str
    diff: str

    @property
    def document(self) -> dict[str, Any]:
        """The difference in JSON's types."""
        return asdict(self)


def changed(raw: Mapping[str, Any]) -> bool:
    """Whether an event tells of a change; of a censored one only the line that Ansible prints still says it."""
    result = raw["event_data"].get("res") or {}
    return bool(result.get("changed")) or "changed: [" in (raw.get("stdout") or "")


def read(raw: Mapping[str, Any]) -> Difference:
    """The difference that the event of a task which would change something tells; secrets are not yet masked."""
    data = raw["event_data"]
    result = data.get("res") or {}
    results = result.get("results") or [result]
    hidden = any("censored" in one for one in (result, *results))
    diff = "" if hidden else "\n".join(filter(None, (_shown(one) for one in results if one.get("changed"))))
    return Difference(data.get("task") or "", data.get("role"), "secret" if hidden else "changes", diff)


def _shown(result: Mapping[str, Any]) -> str:
    given = result.get("diff") or []
    parts = [_of(one) for one in (given if isinstance(given, list) else [given])]
    shown = "\n".join(filter(None, parts))
    return shown or "\n".join(f"{name}: {result[name]}" for name in TOLD if result.get(name) not in (None, ""))


def _of(diff: Mapping[str, Any]) -> str:
    """One of the diffs that modules give: text before and after, attributes before and after, or prepared."""
    if "prepared" in diff:
        return str(diff["prepared"]).strip()
    before, after = (_text(diff.get(name)) for name in ("before", "after"))
    header = diff.get("after_header") or diff.get("before_header") or ""
    lines = difflib.unified_diff(before, after, n=1, lineterm="")
    body = [line for line in lines if not line.startswith(("---", "+++"))]
    return "\n".join([str(header), *body] if header and body else body)


def _text(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}: {json.dumps(part, ensure_ascii=False)}" for name, part in sorted(value.items())]
    return str(value or "").splitlines()


def cut(text: str) -> str:
    """As much of a diff as is kept."""
    return text if len(text) <= DIFF_LENGTH else text[:DIFF_LENGTH].rpartition("\n")[0] + "\n…"
