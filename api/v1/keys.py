"""The voted keys that share common costs, and what another would have given."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_money import KeyOut, KeyQuery, SimulationOut
from tenants import keys_export, keys_proposal, keys_simulation, pools
from tenants.finance import CRITERIA
from tenants.keys_simulation import Simulation

blueprint = APIBlueprint("keys", __name__, url_prefix="/api/v1/keys", tag="Keys")
NOTHING = "No month has shared costs, or a criterion is zero for everybody in one"


@blueprint.get("")
@blueprint.output(ListOf[KeyOut])
def list_keys() -> dict[str, Any]:
    """Every version of every key, by key, the first version first. Always whole."""
    with auth.scope() as session:
        return {"items": pools.listed_keys(session)}


@blueprint.get("/simulation")
@blueprint.input(KeyQuery, location="query")
@blueprint.output(SimulationOut)
@blueprint.doc(responses={409: NOTHING})
def simulate(query_data: KeyQuery) -> dict[str, Any]:
    """The last twelve months shared again by these weights, beside what they were shared by. Nothing is written."""
    with auth.scope() as session:
        return keys_export.document(_simulated(session, query_data))


@blueprint.get("/simulation.csv")
@blueprint.input(KeyQuery, location="query")
@blueprint.doc(responses={200: "A text/csv file", 409: NOTHING})
def export(query_data: KeyQuery) -> Response:
    """The same as a file: a row for each member, then their sum."""
    with auth.scope() as session:
        return frame.file(keys_export.as_csv(_simulated(session, query_data)), keys_export.FILE)


def _simulated(session: Session, query: KeyQuery) -> Simulation:
    weights = {criterion: getattr(query, criterion) or "" for criterion in CRITERIA}
    codes = query.pools.split(",") if query.pools else ()
    return keys_simulation.simulate(session, keys_proposal.read(weights, codes))
