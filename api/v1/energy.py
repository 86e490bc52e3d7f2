"""The year's energy and carbon, and the factors that are declared."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import auth, energy_writing
from api.v1 import frame
from api.v1.schemas_energy import EnergyOut, EnergyQuery
from tenants import energy_report, finance

blueprint = APIBlueprint("energy", __name__, url_prefix="/api/v1", tag="Accounting")


@blueprint.get("/energy")
@blueprint.input(EnergyQuery, location="query")
@blueprint.output(EnergyOut)
def show(query_data: EnergyQuery) -> dict[str, Any]:
    """A year's kWh and gCO2e by month, member and offer; machines that stood still; the age of the equipment."""
    power = finance.power(auth.settings().territory_dir)
    with auth.scope() as session:
        return energy_report.document(energy_report.report(session, query_data.year, power))


@blueprint.get("/energy.csv")
@blueprint.input(EnergyQuery, location="query")
@blueprint.doc(responses={200: "A text/csv file"})
def as_csv(query_data: EnergyQuery) -> Response:
    """The same as a French CSV: a row for each month, member and offer, then the year."""
    return _file(query_data.year, "csv")


@blueprint.get("/energy.xlsx")
@blueprint.input(EnergyQuery, location="query")
@blueprint.doc(responses={200: "An application/vnd.openxmlformats-officedocument.spreadsheetml.sheet file"})
def as_xlsx(query_data: EnergyQuery) -> Response:
    """The same as a workbook, with the factors and their sources."""
    return _file(query_data.year, "xlsx")


def _file(year: str, kind: str) -> Response:
    with auth.scope() as session:
        name, content = energy_writing.written(session, year, kind, auth.settings())
    return frame.file(content, name)
