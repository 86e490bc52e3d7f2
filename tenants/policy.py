"""Who must approve an order, from data: the offer's own wish and an amount."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from tenants.tables import Offer

POLICY = Path(__file__).with_name("policy.yaml")


class Policy(BaseModel):
    """monthly_above: euros a month above which the DSI decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    monthly_above: Decimal = Field(ge=0)


@cache
def load(path: Path = POLICY) -> Policy:
    """The territory's policy."""
    return Policy.model_validate(yaml.safe_load(path.read_text()))


def approves(offer: Offer, monthly: Decimal) -> bool:
    """Whether an order of `offer` at `monthly` euros starts without asking anybody."""
    return offer.approval == "none" and monthly <= load().monthly_above
