"""Who must approve an order: rules as data, in versions. `policy.yaml` is the first; the DSI adopts others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import sqlalchemy as sa
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from tenants.parameters import Words
from tenants.tables import MAKING, Offer, Order
from tenants.tables_approvals import PolicyVersion

POLICY = Path(__file__).with_name("policy.yaml")
LOCK = 0x504F4C49  # advisory lock: versions are numbered and adopted one after the other

Step = Literal["approver", "finance", "dsi"]
Kind = Literal["create", "change", "delete"]


class StepRules(BaseModel):
    """How one step is decided. Days are counted from the instant at which the step's turn came."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    expires_days: int = Field(30, ge=1, le=365)
    remind_days: tuple[int, ...] = ()
    deputies: bool = True
    own: bool = False
    engagement: bool = False

    @model_validator(mode="after")
    def _reminders_come_before_the_end(self) -> Self:
        if any(not 0 < day < self.expires_days for day in self.remind_days):
            raise ValueError("remind_days: each from 1 to the day before expires_days")
        return self


# The finances engage money; the DSI judges capacity and security, so it may let through what it ordered for a member.
DEFAULTS: dict[Step, StepRules] = {
    "approver": StepRules(remind_days=(3, 10)),
    "finance": StepRules(remind_days=(3, 10), engagement=True),
    "dsi": StepRules(remind_days=(3, 10), own=True),
}


class Rule(BaseModel):
    """Which orders it fits, and the steps that they need. Without a restriction it fits all."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Words
    orders: tuple[Kind, ...] = ("create", "change")
    kinds: tuple[Literal["vm", "stack"], ...] | None = None
    offers: tuple[str, ...] | None = None
    monthly_above: Decimal | None = Field(None, ge=0, max_digits=12, decimal_places=2)
    steps: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _each_step_once(self) -> Self:
        if len(set(self.steps)) != len(self.steps):
            raise ValueError("steps: each at most once")
        return self

    def fits(self, offer: Offer, kind: Kind, monthly: Decimal) -> bool:
        """Whether this rule decides about an order of `offer` that adds `monthly` euros a month."""
        return (
            kind in self.orders
            and (self.kinds is None or offer.kind in self.kinds)
            and (self.offers is None or offer.slug in self.offers)
            and (self.monthly_above is None or monthly > self.monthly_above)
        )


class Policy(BaseModel):
    """All rules, and how each step is decided."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rules: tuple[Rule, ...] = Field((), max_length=50)
    steps: dict[Step, StepRules] = Field(default_factory=dict)

    def chain(self, offer: Offer, kind: Kind, monthly: Decimal) -> tuple[Step, ...]:
        """The steps of an order of `offer` that adds `monthly` euros a month; none: it starts at once."""
        wanted = next((rule.steps for rule in self.rules if rule.fits(offer, kind, monthly)), ())
        asked_by_offer = offer.approval == "dsi" and kind != "delete" and "dsi" not in wanted
        return (*wanted, "dsi") if asked_by_offer else wanted

    def rules_of(self, step: Step) -> StepRules:
        """How a step is decided; what the policy does not say is as StepRules has it."""
        return self.steps.get(step, DEFAULTS[step])


@dataclass(frozen=True)
class Adopted:
    """The policy in force."""

    version: int
    policy: Policy


@cache
def load(path: Path = POLICY) -> Policy:
    """The policy of the file."""
    return Policy.model_validate(yaml.safe_load(path.read_text()))


def current(session: Session) -> Adopted:
    """The policy in force: the adopted version, or the file as long as nobody drafted another."""
    found = session.scalar(sa.select(PolicyVersion).where(PolicyVersion.state == "adopted"))
    return Adopted(found.version, Policy.model_validate(found.document)) if found else Adopted(1, load())


def kind_of(order: Order) -> Kind:
    """What a rule calls the kind of an order."""
    if order.kind in MAKING:
        return "create"
    return "delete" if order.kind == "delete" else "change"


def amount_of(order: Order) -> Decimal:
    """Euros a month that an order adds."""
    return order.monthly if order.kind in MAKING else order.difference


def read(document: Mapping[str, Any]) -> Policy:
    """A policy as it was typed. Raises invalid_policy; facts: faults, a list of {field, fault}."""
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        faults = [
            {"field": ".".join(map(str, one["loc"])), "fault": one["msg"]} for one in error.errors(include_url=False)
        ]
        wrong = "; ".join(f"{one['field']}: {one['fault']}" for one in faults)
        raise InvalidInput(
            "invalid_policy",
            Text("La politique est refusée : {wrong}.", wrong=wrong),
            "Corrigez ces règles.",
            facts={"faults": faults},
        ) from error


def draft(session: Session, document: Mapping[str, Any], at: datetime) -> PolicyVersion:
    """Keep a new version that is not yet in force. Raises invalid_policy."""
    wanted = read(document)
    _lock(session)
    if not _newest(session):
        session.add(_version(1, load(), "policy.yaml", at, state="adopted", decided_by="policy.yaml", decided_at=at))
        session.flush()
    made = _version(_newest(session) + 1, wanted, session.info["actor"], at)
    session.add(made)
    session.flush()
    audit.record(session, "policy.draft", f"policy {made.version}")
    return made


def adopt(session: Session, version: int, at: datetime) -> PolicyVersion:
    """Put a draft in force. Orders that wait keep the steps they have. Raises not_found, policy_decided."""
    _lock(session)
    found = _draft(session, version)
    replaced = session.scalar(sa.select(PolicyVersion).where(PolicyVersion.state == "adopted"))
    if replaced is not None:
        replaced.state = "replaced"
        session.flush()  # one version is adopted: the old one leaves first
    found.state, found.decided_by, found.decided_at = "adopted", session.info["actor"], at
    session.flush()
    audit.record(session, "policy.adopt", f"policy {version}")
    return found


def discard(session: Session, version: int, at: datetime) -> PolicyVersion:
    """Give a draft up. Raises not_found, policy_decided."""
    _lock(session)
    found = _draft(session, version)
    found.state, found.decided_by, found.decided_at = "discarded", session.info["actor"], at
    session.flush()
    audit.record(session, "policy.discard", f"policy {version}")
    return found


def listed(session: Session) -> list[PolicyVersion]:
    """Every version, newest first; empty as long as the file is in force."""
    return list(session.scalars(sa.select(PolicyVersion).order_by(PolicyVersion.version.desc())))


def _lock(session: Session) -> None:
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def _newest(session: Session) -> int:
    return session.scalar(sa.select(sa.func.max(PolicyVersion.version))) or 0


def _version(version: int, wanted: Policy, by: str, at: datetime, **more: Any) -> PolicyVersion:
    return PolicyVersion(version=version, document=wanted.model_dump(mode="json"), made_by=by, made_at=at, **more)


def _draft(session: Session, version: int) -> PolicyVersion:
    found = session.scalar(sa.select(PolicyVersion).where(PolicyVersion.version == version))
    if found is None:
        raise NotFound("not_found", "Cette version n’existe pas.", "Revenez à la liste.")
    if found.state != "draft":
        raise Conflict(
            "policy_decided", "Cette version n’est plus un brouillon.", "Faites-en une nouvelle.",
            facts={"state": found.state},
        )  # fmt: skip
    return found


def asks(session: Session, offer: Offer, kind: Kind, monthly: Decimal) -> tuple[Step, ...]:
    """Whom an order of `offer` that adds `monthly` euros a month would wait for; none: it would start at once."""
    return current(session).policy.chain(offer, kind, monthly)
