"""What must be destroyed in time: a commune sees how old the oldest is that its application keeps, and since when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator import usage
from orchestrator.database import member_session, territory_session
from orchestrator.errors import InvalidInput
from orchestrator.events import Owner
from orchestrator.settings import ROOT
from orchestrator.tables import Flow, Service
from tenants import oldest, stacks
from tenants.oldest import Oldest
from tests.tenants.ordering import NOW
from tests.tenants.test_deadlines import cameras, commune  # noqa: F401  (fixtures)

DAY = timedelta(days=1)


def count(owner: sa.Engine, service_id: int, days: int, ago: timedelta) -> None:
    with territory_session(owner, "tests") as session:
        service = session.get_one(Service, service_id)
        mine = Owner(service.member_id, service_id, None)
        usage.keep(session, mine, "video", {"cameras": 3, "oldest_days": days}, NOW - ago)


@pytest.fixture
def seen(web: sa.Engine, commune: int, cameras: int) -> Callable[[], Oldest]:  # noqa: F811
    def look() -> Oldest:
        with member_session(web, commune, "agent") as session:
            found = oldest.of(session, session.get_one(Service, cameras), NOW)
        assert found
        return found

    return look


def test_it_is_in_time_until_it_is_older_than_what_was_answered(
    owner: sa.Engine,
    cameras: int,  # noqa: F811
    seen: Callable[[], Oldest],
) -> None:
    assert (seen().days, seen().state, seen().counts, seen().allowed) == (None, "uncounted", 0, 28)
    count(owner, cameras, 31, 400 * DAY)
    count(owner, cameras, 27, 3 * DAY)
    assert (seen().days, seen().state) == (27, "uncounted"), "a count of three days ago says nothing of today"
    count(owner, cameras, 28, DAY)
    assert (seen().days, seen().state, seen().highest, seen().counts) == (28, "in_time", 28, 2)
    assert "L.252-5" in seen().rule["fr"]
    count(owner, cameras, 29, DAY / 24)
    assert (seen().days, seen().state, seen().highest) == (29, "too_old", 29)


def test_a_shorter_time_is_looked_at_with_the_next_count(
    owner: sa.Engine,
    cameras: int,  # noqa: F811
    seen: Callable[[], Oldest],
) -> None:
    count(owner, cameras, 28, DAY)
    with territory_session(owner, "tests") as session:
        service = session.get_one(Service, cameras)
        answers = service.specification["answers"] | {"retention_days": 7}
        service.specification = service.specification | {"answers": answers}
        session.add(Flow(member_id=service.member_id, service_id=cameras, kind="change_parameters", state="done",
                         requested_by="t", ended_at=NOW - DAY / 2))  # fmt: skip
    assert (seen().days, seen().allowed, seen().state) == (28, 7, "uncounted")
    count(owner, cameras, 28, DAY / 24)
    assert seen().state == "too_old"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [("answer: retention_days", "answer: prefect_authorisation", "integer"),
     ("code: recordings_gib", "code: oldest_days", "réservé")],
)  # fmt: skip
def test_a_stack_says_which_answer_it_is(tmp_path: Path, before: str, after: str, said: str) -> None:
    declared = (ROOT / "playbooks" / "stacks" / "video" / "stack.yml").read_text()
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "stack.yml").write_text(declared.replace(before, after))
    with pytest.raises(InvalidInput, match=said):
        stacks.read(tmp_path / "video")
