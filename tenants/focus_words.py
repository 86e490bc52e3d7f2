"""FOCUS's words: categories of services with their subcategories (version 1.2), and what our meters are in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OTHER = "Other"
# Each has one more, `Other (…)`.
SUBCATEGORIES: Mapping[str, tuple[str, ...]] = {
    "AI and Machine Learning": (
        "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing",
    ),
    "Analytics": ("Analytics Platforms", "Business Intelligence", "Data Processing", "Search", "Streaming Analytics"),
    "Business Applications": ("Productivity and Collaboration",),
    "Compute": ("Containers", "End User Computing", "Quantum Compute", "Serverless Compute", "Virtual Machines"),
    "Databases": (
        "Caching", "Data Warehouses", "Ledger Databases", "NoSQL Databases", "Relational Databases",
        "Time Series Databases",
    ),
    "Developer Tools": (
        "Developer Platforms", "Continuous Integration and Deployment", "Development Environments",
        "Source Code Management", "Quality Assurance",
    ),
    "Multicloud": ("Multicloud Integration",),
    "Identity": ("Identity and Access Management",),
    "Integration": ("API Management", "Messaging", "Workflow Orchestration"),
    "Internet of Things": ("IoT Analytics", "IoT Platforms"),
    "Management and Governance": (
        "Architecture", "Compliance", "Cost Management", "Data Governance", "Disaster Recovery", "Endpoint Management",
        "Observability", "Support",
    ),
    "Media": ("Content Creation", "Gaming", "Media Streaming", "Mixed Reality"),
    "Migration": ("Data Migration", "Resource Migration"),
    "Mobile": (),
    "Networking": (
        "Application Networking", "Content Delivery", "Network Connectivity", "Network Infrastructure",
        "Network Routing", "Network Security",
    ),
    "Security": ("Secret Management", "Security Posture Management", "Threat Detection and Response"),
    "Storage": ("Backup Storage", "Block Storage", "File Storage", "Object Storage", "Storage Platforms"),
    "Web": ("Application Platforms",),
    OTHER: (),
}  # fmt: skip


@dataclass(frozen=True)
class Offering:
    """A service as FOCUS means it: what a provider offers, in the one category that is its purpose."""

    name: str
    category: str
    subcategory: str


def offering(name: str, category: str, subcategory: str | None = None) -> Offering:
    """With a subcategory of that category; what FOCUS does not know is `Other`."""
    known = category if category in SUBCATEGORIES else OTHER
    found = subcategory if subcategory in SUBCATEGORIES[known] else f"{OTHER} ({known})"
    return Offering(name, known, found)


@dataclass(frozen=True)
class Measure:
    """A meter: whose purpose it serves, and what one unit of it is in a SKU's details."""

    offering: Offering
    details: Mapping[str, Any] | None = None


FEES = ("activation", "activation_application")
MACHINES = offering("Machines virtuelles", "Compute", "Virtual Machines")
COMMON = offering("Coûts communs", OTHER)
VAT = offering("TVA", OTHER)
_CORE = Measure(MACHINES, {"CoreCount": 1})
_MEMORY = Measure(MACHINES, {"MemorySize": 1})
MEASURES = {
    "vcpu": _CORE,
    "vcpu_stopped": _CORE,
    "ram": _MEMORY,
    "ram_stopped": _MEMORY,
    "volume": Measure(offering("Volumes de données", "Storage", "Block Storage"), {"DiskSpace": 1}),
    "snapshot": Measure(offering("Instantanés", "Storage", "Backup Storage"), {"DiskSpace": 1}),
    "public_address": Measure(offering("Adresses publiques", "Networking", "Network Infrastructure")),
}
UNKNOWN = Measure(offering("Autres consommations", OTHER))
UNITS = {"vCPU": "Core", "GiB": "GiB", "address": "Address"}


def measure(meter: str) -> Measure:
    """What the meter of this code is."""
    return MEASURES.get(meter, UNKNOWN)


def unit(name: str, time: str) -> str:
    """A meter's unit during a time, as FOCUS writes it: `Core-Hours`."""
    plain = name[:1].upper() + name[1:] if name.isascii() and name.isalpha() else "Unit"
    return f"{UNITS.get(name) or plain}-{time}"
