"""The columns of our FOCUS files, in the order of the specification, ours last, and which version has which.

1.2 is the profile that most tools read. 1.4 names provider and host anew, numbers the lines of an invoice, and has
the columns of shared costs that came with 1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "decimal", "instant", "number"]
ALL = ("1.2", "1.4")
OLD, NEW = ALL[:1], ALL[1:]
DEFAULT = "1.2"
CENTS, PRICE, PRODUCT, QUANTITY, CONSUMED, EXACT = 2, 8, 20, 18, 16, 20  # decimals


@dataclass(frozen=True)
class Column:
    """scale: decimals of a decimal, of 38 digits at most."""

    name: str
    kind: Kind = "text"
    scale: int = 0
    versions: tuple[str, ...] = ALL


COLUMNS = (
    Column("AllocatedMethodDetails", versions=NEW),
    Column("AllocatedMethodId", versions=NEW),
    Column("AllocatedResourceId", versions=NEW),
    Column("AllocatedResourceName", versions=NEW),
    Column("AllocatedTags", versions=NEW),
    Column("BilledCost", "decimal", CENTS),
    Column("BillingAccountId"),
    Column("BillingAccountName"),
    Column("BillingAccountType"),
    Column("BillingCurrency"),
    Column("BillingPeriodEnd", "instant"),
    Column("BillingPeriodStart", "instant"),
    Column("ChargeCategory"),
    Column("ChargeClass"),
    Column("ChargeDescription"),
    Column("ChargeFrequency"),
    Column("ChargePeriodEnd", "instant"),
    Column("ChargePeriodStart", "instant"),
    Column("ConsumedQuantity", "decimal", CONSUMED),
    Column("ConsumedUnit"),
    Column("ContractedCost", "decimal", PRODUCT),
    Column("ContractedUnitPrice", "decimal", PRICE),
    Column("EffectiveCost", "decimal", CENTS),
    Column("HostProviderName", versions=NEW),
    Column("InvoiceDetailId", versions=NEW),
    Column("InvoiceId"),
    Column("InvoiceIssuerName"),
    Column("ListCost", "decimal", PRODUCT),
    Column("ListUnitPrice", "decimal", PRICE),
    Column("PricingCategory"),
    Column("PricingQuantity", "decimal", QUANTITY),
    Column("PricingUnit"),
    Column("ProviderName", versions=OLD),
    Column("PublisherName", versions=OLD),
    Column("RegionId"),
    Column("RegionName"),
    Column("ResourceId"),
    Column("ResourceName"),
    Column("ResourceType"),
    Column("ServiceCategory"),
    Column("ServiceName"),
    Column("ServiceProviderName", versions=NEW),
    Column("ServiceSubcategory"),
    Column("SkuId"),
    Column("SkuMeter"),
    Column("SkuPriceDetails"),
    Column("SkuPriceId"),
    Column("SubAccountId"),
    Column("SubAccountName"),
    Column("SubAccountType"),
    Column("Tags"),
    # What FOCUS has no word for: where the line stands in the statement, and what it follows from.
    Column("x_AllocationKey"),
    Column("x_BudgetSection"),
    Column("x_CorrectedLine"),
    Column("x_Deliberation"),
    Column("x_ExactShare", "decimal", EXACT),
    Column("x_Mention"),
    Column("x_PriceBook"),
    Column("x_PriceFrom", "instant"),
    Column("x_StatementLine", "number"),
)


def profile(version: str) -> tuple[Column, ...]:
    """The columns of a version."""
    return tuple(column for column in COLUMNS if version in column.versions)
