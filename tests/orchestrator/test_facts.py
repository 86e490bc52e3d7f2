"""What the ledger lacks: whenever and however often the cloud is looked at, it ends the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator import facts
from orchestrator.cloud_history import Act, Found
from orchestrator.events import Size
from orchestrator.facts import Fact

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
SMALL, BIG = Size(1, 1024), Size(2, 4096)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


SERVER = Found("server", "s", "salut", "ACTIVE", None, at(0), at(1), 1, 1024, launched_at=at(1))
ORDERED = [Fact("created", at(0), SMALL), Fact("launched", at(1), SMALL), Fact("serving", at(3), SMALL)]


def told(found: Found, acts: list[Act], ledger: list[Fact], *, by_hand: bool = False) -> list[tuple[str, datetime]]:
    """What is lacking, by kind and moment; a second look must find nothing."""
    lacking = facts.lacking(found, acts, ledger, by_hand=by_hand)
    both = sorted([*ledger, *lacking], key=lambda fact: fact.at)
    assert facts.lacking(found, acts, both, by_hand=by_hand) == []
    return [(fact.kind, fact.at) for fact in lacking]


def test_a_server_as_it_was_ordered_lacks_nothing() -> None:
    assert told(SERVER, [], ORDERED) == []


def test_a_stop_and_a_start_count_since_their_own_moments() -> None:
    acts = [Act("stop", at(10), "u"), Act("start", at(20), "u"), Act("stop", at(30), None)]
    found = replace(SERVER, status="SHUTOFF", updated_at=at(30))
    assert told(found, acts, ORDERED) == [("stopped", at(10)), ("started", at(20)), ("stopped", at(30))]


def test_a_stop_without_an_act_counts_since_the_cloud_changed_it() -> None:
    assert told(replace(SERVER, status="SHUTOFF", updated_at=at(30)), [], ORDERED) == [("stopped", at(30))]


def test_a_size_holds_since_its_act_for_what_was_told_later_too() -> None:
    later = [*ORDERED, Fact("stopped", at(40), SMALL)]
    found = replace(SERVER, status="SHUTOFF", vcpus=2, ram_mib=4096, launched_at=at(20), updated_at=at(40))
    lacking = facts.lacking(found, [Act("resize", at(20), "u")], later, by_hand=False)
    assert [(fact.kind, fact.at, fact.size) for fact in lacking] == [
        ("launched", at(20), SMALL), ("resized", at(20), BIG), ("resized", at(40), BIG),
    ]  # fmt: skip
    assert told(found, [Act("resize", at(20), "u")], later)


def test_a_size_that_is_being_changed_is_left_for_the_next_time() -> None:
    assert told(replace(SERVER, status="RESIZE", vcpus=2, ram_mib=4096), [], ORDERED) == []


def test_a_deletion_counts_since_the_moment_the_cloud_says() -> None:
    found = replace(SERVER, status="DELETED", deleted_at=at(50), updated_at=at(50))
    assert told(found, [], ORDERED) == [("deleted", at(50))]
    assert told(found, [], [*ORDERED, Fact("deleted", at(51), Size())]) == []


def test_what_was_made_by_hand_serves_since_it_runs() -> None:
    acts = [Act("create", at(1), "u"), Act("resize", at(30), "u")]
    found = replace(SERVER, vcpus=2, ram_mib=4096, launched_at=at(30))
    assert told(found, acts, [], by_hand=True) == [
        ("created", at(0)), ("launched", at(1)), ("serving", at(1)), ("launched", at(30)), ("resized", at(30)),
    ]  # fmt: skip
    assert told(replace(found, launched_at=None), [], [], by_hand=True) == [("created", at(0))]


def test_a_volume_and_an_address() -> None:
    volume = Found("volume", "v", "", "available", None, at(0), at(9), disk_gib=20)
    assert told(volume, [], [], by_hand=True) == [("created", at(0))]
    ledger = [Fact("created", at(0), Size(disk_gib=10))]
    assert told(volume, [], ledger) == [("resized", at(9))]
    address = Found("floating_ip", "f", "198.51.100.7", "ACTIVE", None, at(0), at(0))
    assert told(address, [], [Fact("created", at(0), Size())]) == []
    assert told(replace(address, deleted_at=at(7)), [], [Fact("created", at(0), Size())]) == [("deleted", at(7))]


def states(ledger: list[Fact]) -> list[tuple[datetime, bool, Size]]:
    """From when on a server runs, and of which size; what changes nothing, or lasts no time, is left out."""
    found: list[tuple[datetime, bool, Size]] = []
    runs = False
    for number, fact in enumerate(ledger):
        runs = fact.kind != "stopped" if fact.kind in facts.POWER else runs
        lasts = number + 1 == len(ledger) or ledger[number + 1].at > fact.at
        if lasts and (not found or found[-1][1:] != (runs, fact.size)):
            found.append((fact.at, runs, fact.size))
    return found


@given(
    st.lists(st.tuples(st.integers(5, 500), st.sampled_from(["stop", "start", "shelve", "unshelve", "reboot"])),
             unique_by=lambda one: one[0], max_size=12),
    st.lists(st.integers(4, 600), max_size=8),
)  # fmt: skip
def test_the_ledger_is_the_same_whenever_the_cloud_was_looked_at(done: list[tuple[int, str]], looks: list[int]) -> None:
    """Stops and starts in any number, looked at by any comparisons, some twice, with overlaps: one ledger."""
    acts = [Act(name, at(minute), "u") for minute, name in sorted(done)]

    def look(ledger: list[Fact], minute: int, since: int) -> list[Fact]:
        known = [act for act in acts if act.at <= at(minute)]
        power = [act for act in known if act.name in facts.ACTS]
        status = "SHUTOFF" if power and facts.ACTS[power[-1].name] == "stopped" else "ACTIVE"
        found = replace(SERVER, status=status, updated_at=known[-1].at if known else at(1))
        recent = [act for act in known if act.at >= at(since)]
        lacking = facts.lacking(found, recent, ledger, by_hand=False)
        return sorted([*ledger, *lacking], key=lambda fact: fact.at)

    whole = look(ORDERED, 1000, 0)
    bit_by_bit = ORDERED
    for before, minute in pairwise([0, *sorted(looks), 1000]):
        bit_by_bit = look(bit_by_bit, minute, before - 10)
        bit_by_bit = look(bit_by_bit, minute, 0)
    assert states(bit_by_bit) == states(whole)
