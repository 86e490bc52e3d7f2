"""Every operation of the API against its own OpenAPI document, by schemathesis, as the DSI and as a commune.

Real app, real PostgreSQL. The same requests each time; `--api-examples N` makes more of them, other ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import sqlalchemy as sa
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import NonFatalError, ScenarioFinished

from api.app import create
from orchestrator.settings import Settings
from tests.api.listening import listening
from tests.api.owned import IDS, World
from tests.api.people import invite
from tests.tenants.ordering import member, seed

HOUSES = {
    "dsi": (None, ("dsi_admin", "dsi_operator", "territory_finance")),
    "commune": ("brevaux", ("requester", "approver", "finance")),
}
REFUSED = ["2xx", "3xx", "401", "403", "404", "409", "412", "422", "429"]  # 422: well formed, but no such offer


@pytest.fixture
def world(settings: Settings, owner: sa.Engine) -> Iterator[World]:
    many = settings.model_copy(update={"api_requests_per_minute": 10**9, "api_changes_per_minute": 10**9})
    seed(owner)
    app = create(many)
    made = World(app, owner, {slug: member(owner, slug) for slug in ("brevaux", "orgelune")})
    for slug in made.members:  # rows to be found, whoever looks
        person = invite(app, "Sacha", slug, ["requester"])
        for find in IDS.values():
            find(made, slug, person)
    yield made
    app.extensions["engines"].dispose()


def config(secret: str, house: str, examples: int) -> SchemathesisConfig:
    """Bounded and repeatable, with every check of schemathesis."""
    phases = {
        "examples": {"enabled": True},
        # Each limit of each field, which is the same whoever asks: for the house that may ask for everything.
        "coverage": {"enabled": house == "dsi"},
        "fuzzing": {"enabled": True},
        "stateful": {"enabled": examples > 5},
    }
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": {"Authorization": f"Bearer {secret}"},
            "generation": {"deterministic": True, "max-examples": examples, "database": "none"},
            "phases": phases,
            "checks": {
                "positive_data_acceptance": {"expected-statuses": REFUSED},
                "negative_data_rejection": {"expected-statuses": [*REFUSED[2:], "400", "405", "406", "415"]},
            },
        }
    )


@pytest.fixture
def address(world: World) -> Iterator[str]:
    """Where the app is served, as in production."""
    with listening(world.app, threads=2, channel_timeout=1, cleanup_interval=1) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("house", HOUSES)
def test_the_api_is_as_it_says(world: World, address: str, house: str, request: pytest.FixtureRequest) -> None:
    slug, roles = HOUSES[house]
    secret = invite(world.app, f"Alix {house}", slug, roles).token()
    chosen = config(secret, house, request.config.getoption("--api-examples"))
    schema = schemathesis.openapi.from_url(f"{address}/api/v1/openapi.json", config=chosen)
    found, asked = run(schema)
    assert not found, "\n\n".join(found)
    assert len(asked) >= len(list(schema.get_all_operations()))


def run(schema: Any) -> tuple[list[str], Counter[str]]:
    """What is wrong, and how many requests each operation got."""
    found: dict[tuple[str, str], str] = {}
    asked: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, NonFatalError):
            found[event.label, "error"] = f"{event.label}: {event.value}"
        if isinstance(event, ScenarioFinished):
            label = event.recorder.label
            asked[label] += len(event.recorder.interactions)
            checks = [check for checks in event.recorder.checks.values() for check in checks]
            for failed in (check.failure_info for check in checks if check.failure_info is not None):
                line = f"{label}: {failed.failure.title}\n{failed.failure.message[:600]}\n{failed.code_sample}"
                found.setdefault((label, type(failed.failure).__name__), line)
    return list(found.values()), asked
