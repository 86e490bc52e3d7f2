"""The year's energy and carbon as a file, for every door."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from api.output import plain
from orchestrator.settings import Settings
from tenants import energy_files, energy_report, finance

KINDS = ("csv", "json", "xlsx")


def written(session: Session, year: str, kind: str, settings: Settings) -> tuple[str, bytes]:
    """Its name and content. Raises InvalidInput invalid_period."""
    found = energy_report.report(session, year, finance.power(settings.territory_dir))
    if kind == "xlsx":
        content = energy_files.as_xlsx(found, settings.timezone)
    elif kind == "csv":
        content = energy_files.as_csv(found)
    else:
        told = json.dumps(energy_report.document(found), default=plain, ensure_ascii=False, indent=2)
        content = f"{told}\n".encode()
    return energy_files.file_name(found, kind), content
