"""A member as a form or a file holds it: the same document, checked by the same schema, whichever it came from.

A document has the keys of a declaration and texts as values, as YAML would be read: `{"slug": "orgelune", "quotas":
{"servers": "4", …}, "budgets": {"2026": "4800.00"}, …}`.
"""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from orchestrator.errors import InvalidInput
from tenants.declarations import Declaration, Problem, explain
from tenants.members_record import Known

Document = dict[str, Any]
SCALARS = ("slug", "name", "kind", "siren", "siret", "insee_code", "population")
QUOTAS = ("servers", "vcpus", "ram_gib", "volumes", "disk_gib", "public_addresses")


def read(document: Document) -> Declaration:
    """The declaration in a document. Raises InvalidInput `invalid_member`; facts["errors"] has every fault by field."""
    try:
        return Declaration.model_validate(document)
    except ValidationError as error:
        problems = [explain("", {}, detail) for detail in error.errors(include_url=False)]
    raise InvalidInput(
        "invalid_member",
        "Ce membre n’est pas décrit comme il faut.",
        "Corrigez les champs signalés ; rien n’a été changé.",
        facts={"errors": [_fault(problem) for problem in problems]},
    )


def _fault(problem: Problem) -> dict[str, str]:
    field = problem.field or ("siret" if problem.code == "invalid_siret" else "kind")  # rules over several fields
    return {"parameter": field, "code": problem.code, "sentence": problem.sentence, "action": problem.action}


def document(member: Known) -> Document:
    """What the database holds of a member, as a document."""
    values = member.values
    quotas = {name: str(values.get(f"quota.{name}", 0)) for name in QUOTAS if name != "ram_gib"}
    quotas["ram_gib"] = str(values.get("quota.ram_mib", 0) // 1024)
    made: Document = {"slug": member.slug}
    made |= {name: str(values[name]) for name in SCALARS[1:] if values[name] is not None}
    made["contacts"] = [dict(contact) for contact in values["contacts"]]
    made["quotas"] = {name: quotas[name] for name in QUOTAS}
    budgets = {field[7:]: str(amount) for field, amount in values.items() if field.startswith("budget.")}
    made["budgets"] = dict(sorted(budgets.items()))
    made["admin_networks"] = list(values["admin_networks"])
    if values["subnet_cidr"]:
        made["subnet"] = values["subnet_cidr"]
    return made


def as_yaml(document: Document) -> str:
    """The document as a file that `clocher members plan` reads back as the same declaration."""
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120)
