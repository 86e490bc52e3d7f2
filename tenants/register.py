"""The register of processing (RGPD, article 30.2): what the agglomeration does for each member with its services.

The agglomeration is the processor, the member the controller. What cannot be known from here (the signed convention,
the data that a service holds) is said to be stated by the member.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import N_, Text
from orchestrator.tables import Member, Service
from tenants import reading, trail
from tenants.exports import safe
from tenants.tables import Offer

COLUMNS = ("Responsable de traitement", "SIRET", "Service", "Nature", "Offre", "État", "Depuis", "Objet",
           "Catégories de données", "Durée de conservation", "Destinataires", "Sous-traitants ultérieurs",
           "Transferts hors UE", "Mesures de sécurité", "Conservation des journaux (jours)")  # fmt: skip
# What holds for every service of the platform.
PURPOSE = {"vm": N_("Hébergement d’un serveur virtuel"), "stack": N_("Hébergement d’une application")}
SECURITY = N_(
    "réseau séparé par membre ; accès par clé ; comptes nominatifs et rôles ; journal chaîné de chaque changement ;"
    " comptes et relevés séparés par membre dans la base"
)
STATED = N_("à déclarer par le responsable de traitement")


def register(session: Session, slug: str, service_id: int | None = None) -> dict[str, Any]:
    """A member's register: controller, its contacts, log retention in days, and a row for each living service, or one.

    Raises NotFound unknown_member.
    """
    member = reading.member(session, slug)
    query = (
        sa.select(Service)
        .where(Service.member_id == member.id, Service.state.not_in(("deleted", "failed")))
        .order_by(Service.name)
    )
    if service_id is not None:
        query = query.where(Service.id == service_id)
    offers = {(offer.slug, offer.version): offer for offer in session.scalars(sa.select(Offer))}
    return {
        "controller": {"name": member.name, "siren": member.siren, "siret": member.siret, "contacts": member.contacts},
        "processor": _processor(session),
        "retention_days": trail.retention(session).days,
        "security": SECURITY,
        "services": [_row(service, offers) for service in session.scalars(query)],
    }


def _processor(session: Session) -> dict[str, Any] | None:
    """The agglomeration, where the session may see it (a member sees itself only)."""
    epci = session.scalar(sa.select(Member).where(Member.kind == "epci").limit(1))
    return {"name": epci.name, "siret": epci.siret, "contacts": epci.contacts} if epci else None


def _row(service: Service, offers: dict[tuple[str, int], Offer]) -> dict[str, Any]:
    said = service.specification
    offer = offers.get((said.get("offer", ""), said.get("offer_version", 0)))
    kind = offer.kind if offer else "vm"
    return {
        "service": service.name,
        "ref": str(service.ref),
        "kind": kind,
        "offer": offer.title if offer else None,
        "state": service.state,
        "since": service.created_at,
        **(_declared(offer.stack["register"]) if offer and offer.stack else _stated(kind)),
        "processors": N_("aucun"),
        "transfers": N_("aucun"),
    }


def _declared(said: dict[str, Any]) -> dict[str, Text]:
    """What an application says of itself."""
    told = {name: Text("{words}", words=said[name]) for name in ("purpose", "retention", "recipients")}
    return told | {"data": Text("{data} ({persons})", data=said["data"], persons=said["persons"])}


def _stated(kind: str) -> dict[str, str]:
    """What is known of a machine: only its member knows what it does with it."""
    return {"purpose": PURPOSE[kind], **dict.fromkeys(("data", "retention", "recipients"), STATED)}


def as_csv(document: dict[str, Any]) -> bytes:
    """The register for a spreadsheet: UTF-8 with BOM, `;`; a member without services has its header only."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS)
    controller = document["controller"]
    for row in document["services"]:
        offer = row["offer"]["fr"] if row["offer"] else ""
        cells = (controller["name"], controller["siret"], row["service"], row["kind"], offer, row["state"],
                 f"{row['since']:%d/%m/%Y}", row["purpose"], row["data"], row["retention"], row["recipients"],
                 row["processors"], row["transfers"], document["security"],
                 str(document["retention_days"]))  # fmt: skip
        writer.writerow([safe(cell) for cell in cells])
    return text.getvalue().encode("utf-8-sig")
