"""The papers that go with an application's data: what it is, what it cost, what the register says of it.

They are written when the export is asked for, and kept with it until the data are there. No secret is in them.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Member, Service
from tenants import applications, export_costs, exports, reading_service, register
from tenants.tables import Offer

README = """\
Ce que « {service} » contenait, pour {member}, le {day}
{line}

Exporté de Clocher. Tout est dans des formats ouverts ; aucun mot de passe n’est ici.

donnees/             ce que l’application gardait ; son propre fichier README.txt l’explique
configuration.json   ce qu’elle était : offre, version, taille, réponses données, adresses
registre.csv, .json  sa fiche au registre des traitements (RGPD, article 30)
releve.csv, .json    ce qu’elle a coûté : relevés clos, puis les mois qui ne le sont pas encore (PROJET)
SHA256SUMS           l’empreinte de chaque fichier ; pour vérifier : sha256sum -c SHA256SUMS

S’il y a un fichier NON-REPRIS.txt, il nomme ce qui n’était ni fichier ni dossier (des liens, le plus souvent).
Ce dossier peut contenir des données personnelles : gardez-le comme l’application le faisait.

What “{service}” held, for {member}, on {iso}
{line}

Exported from Clocher. All is in open formats; no password is in here.

donnees/             what the application kept; its own README.txt explains it
configuration.json   what it was: offer, version, size, answers given, addresses
registre.csv, .json  its sheet in the register of processing (GDPR, article 30)
releve.csv, .json    what it cost: closed statements, then the months that are not closed yet (PROJET)
SHA256SUMS           the sum of each file; to check them: sha256sum -c SHA256SUMS

If there is a file NON-REPRIS.txt, it names what was neither file nor folder (links, mostly).
This folder may hold personal data: keep it as the application did.
"""


def title(session: Session, service: Service, at: datetime, timezone: str) -> str:
    """What the archive is called: member, service and day."""
    slug = session.get_one(Member, service.member_id).slug
    return f"{slug}-{service.name}-{at.astimezone(ZoneInfo(timezone)):%Y-%m-%d}"


def papers(session: Session, service: Service, at: datetime, timezone: str) -> dict[str, str]:
    """The papers, by name."""
    member = session.get_one(Member, service.member_id)
    sheet = register.register(session, member.slug, service.id)
    costs = export_costs.documents(session, service, member, at, timezone)
    return {
        "LISEZMOI.txt": _readme(service, member, at.astimezone(ZoneInfo(timezone))),
        "configuration.json": _json(_configuration(session, service, member)),
        "registre.csv": register.as_csv(sheet).decode(),
        "registre.json": _json(sheet),
        "releve.csv": exports.csv_file(costs, timezone).decode(),
        "releve.json": exports.json_file(costs).decode(),
    }


def _readme(service: Service, member: Member, local: datetime) -> str:
    given = {"service": service.name, "member": member.name, "day": f"{local:%d/%m/%Y}", "iso": f"{local:%Y-%m-%d}"}
    return README.format(**given, line="=" * 60)


def _configuration(session: Session, service: Service, member: Member) -> dict[str, Any]:
    wanted, known = service.specification, service.specification["stack"]
    offers = session.scalars(sa.select(Offer).where(Offer.slug == wanted["offer"])).all()
    titles = [offer.title for offer in offers if offer.version == wanted["offer_version"]]
    whole = reading_service.whole(session, service)
    return {
        "service": {"name": service.name, "ref": str(service.ref), "created_at": service.created_at.isoformat()},
        "member": {"slug": member.slug, "name": member.name, "siren": member.siren, "siret": member.siret},
        "offer": {"slug": wanted["offer"], "version": wanted["offer_version"], "title": next(iter(titles), None)},
        "application": {
            "stack": known["slug"], "version": known["version"], "upstream": applications.upstream(session, service),
        },
        "size": {
            "vcpus": wanted["vcpus"], "ram_mib": wanted["ram_mib"],
            "volumes_gib": whole.volumes if whole else {"main": wanted["disk_gib"]},
        },
        "image": wanted["image"],
        "answers": wanted["answers"],
        "addresses": {"private": service.address, "public": service.public_address},
    }  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
