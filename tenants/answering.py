"""What an application was asked when it was ordered, and may be answered anew while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import N_, InvalidInput, Number, Text, joined
from orchestrator.tables import Service
from tenants import parameters
from tenants.tables import Offer

KEEP = N_("Laissez cette réponse comme elle est, ou commandez un autre service.")
YES_NO = {True: {"fr": "oui", "en": "yes"}, False: {"fr": "non", "en": "no"}}
EMPTY = {"fr": "(rien)", "en": "(nothing)"}


def changeable(session: Session, service: Service) -> list[dict[str, Any]]:
    """The rules of what may be answered anew, as stack.yml declares them (`changeable`); none for a machine."""
    return [rule for rule in rules(session, service) if rule.get("changeable")]


def rules(session: Session, service: Service) -> list[dict[str, Any]]:
    """The rules of what the service was asked, as `declared` has them: that may have come after the order."""
    offer = declared(session, service)
    asked: list[dict[str, Any]] = offer.parameters["rules"] if offer else []
    return [rule for rule in asked if rule["name"] in service.specification["answers"]]


def declared(session: Session, service: Service) -> Offer | None:
    """The newest version of a service's offer that declares the version which its application runs."""
    own = service.specification.get("stack")
    if not own:
        return None
    known = sa.select(Offer).where(Offer.slug == service.specification["offer"], Offer.state != "draft")
    offers = session.scalars(known.order_by(Offer.version.desc()))
    return next((one for one in offers if one.stack and one.stack["versions"][0]["version"] == own["version"]), None)


def listed(session: Session, service: Service) -> list[dict[str, Any]]:
    """What was asked: name, label, answer, changeable, rule."""
    answers = service.specification.get("answers", {})
    return [
        {"name": rule["name"], "label": rule["label"], "answer": answers[rule["name"]],
         "changeable": bool(rule.get("changeable")), "rule": rule}
        for rule in rules(session, service)
    ]  # fmt: skip


def read(session: Session, service: Service, given: Mapping[str, Any]) -> dict[str, Any]:
    """All the answers that the service has once those that are given took the place of its own.

    Raises InvalidInput invalid_parameter, parameter_fixed or unknown_parameter; facts: errors, as `parameters.read`.
    """
    asked = rules(session, service)
    fixed = [rule for rule in asked if rule["name"] in given and not rule.get("changeable")]
    if fixed:
        raise _fixed(fixed)
    present: dict[str, Any] = service.specification.get("answers", {})
    return present | parameters.read([rule for rule in asked if rule["name"] in given], given)


def _fixed(found: list[dict[str, Any]]) -> InvalidInput:
    faults = [
        {"parameter": rule["name"], "code": "parameter_fixed", "action": KEEP,
         "sentence": Text("« {label} » ne se change pas après la commande.", label=rule["label"])}
        for rule in found
    ]  # fmt: skip
    sentence = joined(fault["sentence"] for fault in faults)
    return InvalidInput("parameter_fixed", sentence, KEEP, facts={"errors": faults})


def effects(before: Mapping[str, Any], after: Mapping[str, Any], asked: list[dict[str, Any]]) -> list[Text]:
    """What becomes different, one sentence for each answer, and what that does to the application."""
    rules_ = {rule["name"]: rule for rule in asked}
    told = [
        Text("« {label} » : {before} devient {after}.", label=rules_[name]["label"] if name in rules_ else name,
             before=_said(before.get(name), rules_.get(name)), after=_said(after[name], rules_.get(name)))
        for name in after
        if after[name] != before.get(name)
    ]  # fmt: skip
    return [
        *told,
        Text("L’application est reconfigurée sur place, données gardées ; elle peut se taire quelques instants."),
        Text("Si elle ne va pas bien ensuite, ses réponses d’avant lui sont rendues."),
    ]


def _said(answer: Any, rule: Mapping[str, Any] | None) -> Any:
    """An answer as a sentence says it."""
    if isinstance(answer, bool):
        return YES_NO[answer]
    if answer in ("", None):
        return EMPTY
    if isinstance(answer, int):
        return Number(answer)
    return date.fromisoformat(answer) if rule and rule["type"] == "date" else str(answer)
