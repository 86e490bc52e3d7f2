"""A member's document as the fields of a form, and back. A field has the name that faults have: `quotas.servers`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tenants.members_form import QUOTAS, SCALARS

PARTS = ("name", "role", "email")
MOST_CONTACTS = 20
BEGIN = {
    "kind": "commune",
    "quotas.servers": "10",
    "quotas.vcpus": "20",
    "quotas.ram_gib": "40",
    "quotas.volumes": "10",
    "quotas.disk_gib": "500",
    "quotas.public_addresses": "2",
}


def typed(document: Mapping[str, Any]) -> dict[str, str]:
    """The document as field → text."""
    fields = {name: document[name] for name in SCALARS if name in document}
    for number, contact in enumerate(document["contacts"]):
        fields |= {f"contacts.{number}.{part}": contact[part] for part in PARTS}
    fields |= {f"quotas.{name}": document["quotas"][name] for name in QUOTAS}
    fields |= {f"budgets.{year}": amount for year, amount in document["budgets"].items()}
    return fields | {"admin_networks": "\n".join(document["admin_networks"]), "subnet": document.get("subnet", "")}


def document(form: Mapping[str, str], slug: str | None) -> dict[str, Any]:
    """What was typed, as a document; `slug` of a member that there is. Empty fields are left out."""
    read = {name: text for name in SCALARS if (text := form.get(name, "").strip())}
    if slug is not None:
        read["slug"] = slug
    made: dict[str, Any] = dict(read)
    rows = (
        {part: form.get(f"contacts.{number}.{part}", "").strip() for part in PARTS} for number in range(MOST_CONTACTS)
    )
    made["contacts"] = [row for row in rows if any(row.values())]
    made["quotas"] = {name: form.get(f"quotas.{name}", "").strip() for name in QUOTAS}
    made["budgets"] = {
        name.removeprefix("budgets."): _amount(text)
        for name, text in form.items()
        if name.startswith("budgets.") and text.strip()
    }
    made["admin_networks"] = form.get("admin_networks", "").split()
    if subnet := form.get("subnet", "").strip():
        made["subnet"] = subnet
    return made


def _amount(text: str) -> str:
    # 36 000,00 as people write it; spaces of all widths.
    return "".join(text.split()).replace(",", ".")


def contact_rows(values: Mapping[str, Any]) -> list[int]:
    """The numbers of the rows to show: those in use, and an empty one."""
    used = [number for number in range(MOST_CONTACTS) if values.get(f"contacts.{number}.name")]
    return list(range(min(max(used, default=-1) + 2, MOST_CONTACTS)))


def years(values: Mapping[str, Any], now: datetime) -> list[str]:
    """The years to show: those that have a budget, this one and the two that follow."""
    known = {name.removeprefix("budgets.") for name in values if name.startswith("budgets.")}
    return sorted(known | {str(now.year + more) for more in range(3)})
