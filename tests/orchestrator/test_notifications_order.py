"""Whatever is lost, late, told twice or out of order, and whenever the cloud was compared: the ledger ends the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import facts, notifications
from orchestrator.cloud_history import Act, Found
from orchestrator.cloud_notifications import Notification
from orchestrator.events import Size
from orchestrator.facts import Fact
from tests.orchestrator.test_facts import ORDERED, at, states

SIZES = (Size(1, 1024), Size(2, 4096), Size(4, 8192))
END = 1000  # minutes
FLOW = timedelta(seconds=3)  # a flow writes what it did so much later


@dataclass(frozen=True)
class Done:
    """What was done to the server, by whom, and how it is since then."""

    minute: int
    name: str
    flow: bool
    runs: bool
    size: Size

    def act(self, late: float = 0) -> Act:
        return Act(self.name, at(self.minute) + timedelta(seconds=late), "us" if self.flow else "somebody")

    def notification(self, launched: int, late: float) -> Notification:
        act = self.act(late)
        found = Found(
            "server", "s", "salut", "", None, at(0), act.at, self.size.vcpus, self.size.ram_mib,
            launched_at=at(launched), deleted_at=at(self.minute) if self.name == "delete" else None,
        )  # fmt: skip
        return Notification(f"{self.minute}", "p", act, found)


@st.composite
def lives(draw: st.DrawFn, *, flows: bool) -> list[Done]:
    """What happened to a server: stops, starts and sizes, at least a minute apart; it may be deleted."""
    minutes = sorted(draw(st.lists(st.integers(5, END - 10), unique=True, max_size=8)))
    runs, size, life = True, SIZES[0], list[Done]()
    for minute in minutes:
        if draw(st.booleans()):
            runs = not runs
            name = "start" if runs else "stop"
        else:
            size, name = draw(st.sampled_from([other for other in SIZES if other != size])), "resize"
        life.append(Done(minute, name, flows and draw(st.booleans()), runs, size))
    if draw(st.booleans()):
        life.append(Done(END - 5, "delete", False, runs, size))
    return life


def launched(life: list[Done], minute: int) -> int:
    return max((one.minute for one in life if one.name == "resize" and one.minute <= minute), default=1)


def compare(life: list[Done], ledger: list[Fact], minute: int, since: int, *, by_hand: bool) -> list[Fact]:
    """What the hourly comparison adds at a minute."""
    done = [one for one in life if one.minute <= minute]
    runs, size = (done[-1].runs, done[-1].size) if done else (True, SIZES[0])
    gone = bool(done) and done[-1].name == "delete"
    found = Found(
        "server", "s", "salut", "DELETED" if gone else "ACTIVE" if runs else "SHUTOFF", None, at(0),
        at(done[-1].minute if done else 1), size.vcpus, size.ram_mib, launched_at=at(launched(life, minute)),
        deleted_at=at(done[-1].minute) if gone else None,
    )  # fmt: skip
    acts = [one.act() for one in done if one.minute >= since and not one.flow]
    if by_hand and not ledger:
        acts = [Act("create", at(1), "somebody"), *[one.act() for one in done]]
    return merged(ledger, facts.lacking(found, acts, ledger, by_hand=by_hand))


def merged(ledger: list[Fact], new: list[Fact]) -> list[Fact]:
    return sorted([*ledger, *new], key=lambda fact: fact.at)


def same(found: list[Fact], expected: list[tuple[float, bool, Size]], gone: bool) -> None:
    """Equal states in the same order, each since its moment but for the seconds by which who tells of it differ."""
    assert [fact.kind for fact in found].count("deleted") == gone
    told = list[tuple[datetime, bool, Size]]()
    known = states([fact for fact in found if fact.kind != "deleted"])
    for state, ends in zip(known, [*(after[0] for after in known[1:]), None], strict=True):
        lasts = ends is None or ends - state[0] >= facts.SAME  # Nova dates the launch a second before the resize ends
        if lasts and (told or state[1]) and (not told or told[-1][1:] != state[1:]):
            told.append(state)
    assert [state[1:] for state in told] == [state[1:] for state in expected]
    for (moment, _runs, _size), (minute, *_others) in zip(told, expected, strict=True):
        assert abs(moment - at(minute)) <= timedelta(seconds=5)


def truth(life: list[Done], since: float) -> list[tuple[float, bool, Size]]:
    found = [(since, True, SIZES[0])]
    for one in life:
        if (one.runs, one.size) != found[-1][1:]:
            found.append((one.minute, one.runs, one.size))
    return found


Arrival = st.tuples(st.floats(0, 2), st.integers(0, END), st.integers(1, 2), st.booleans())


@pytest.mark.slow
@given(life=lives(flows=True), looks=st.lists(st.integers(2, END - 1), max_size=5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_an_ordered_server(life: list[Done], looks: list[int], data: st.DataObject) -> None:
    """Acts of flows and of others; notifications late, twice or lost; readings between; one reading at the end."""
    sizes = [one.minute for one in life if one.name == "resize"]
    busy = {one.minute for one in life if one.flow}  # a service on which a flow works is compared the next time
    free = [look for look in looks if look not in busy]
    things: list[tuple[float, int, Notification | Done | int]] = [(look, 0, look) for look in (*free, END)]
    for number, one in enumerate(life):
        if one.flow:
            things.append((one.minute, number, one))
        late, delay, times, lost = data.draw(Arrival)
        # Nova's list tells the last size only: of two between two readings, the first is known by its notification.
        if lost and one.minute not in sizes[:-1]:
            continue
        told = one.notification(launched(life, one.minute), late)
        things += [(min(one.minute + delay * turn + 0.1, END - 1), number, told) for turn in range(times)]
    ledger, kept, since = list(ORDERED), dict[str, Notification](), 0
    for _minute, _number, thing in sorted(things, key=lambda one: one[:2]):
        if isinstance(thing, int):
            ledger, since = compare(life, ledger, thing, since - 10, by_hand=False), thing
        elif isinstance(thing, Done):
            kind = {"stop": "stopped", "start": "started", "resize": "resized"}[thing.name]
            size = thing.size if kind == "resized" else ledger[-1].size
            ledger = merged(ledger, [Fact(kind, at(thing.minute) + FLOW, size)])
        else:
            kept[thing.id] = thing
            foreign = sorted((one for one in kept.values() if one.act.by != "us"), key=lambda one: one.act.at)
            ledger = merged(ledger, notifications.lacking(foreign, ledger, by_hand=False))
            assert notifications.lacking(foreign, ledger, by_hand=False) == []
    same(ledger, truth(life, 3), gone=bool(life) and life[-1].name == "delete")


@pytest.mark.slow
@given(life=lives(flows=False), looks=st.lists(st.integers(2, END - 1), max_size=3), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_server_made_by_hand(life: list[Done], looks: list[int], data: st.DataObject) -> None:
    """All notifications come, in any order, some twice, between readings or with none at all."""
    whole = [Done(1, "create", False, True, SIZES[0]), *life]
    told = [one.notification(launched(life, one.minute), data.draw(st.floats(0, 2))) for one in whole]
    order = data.draw(st.permutations([*told, *told[:2]]))
    places = data.draw(st.lists(st.integers(0, len(order)), min_size=len(looks), max_size=len(looks)))
    ledger, kept = list[Fact](), dict[str, Notification]()
    reads = dict(zip(sorted(places), sorted(looks), strict=True))
    for number, one in enumerate(order):
        if number in reads:
            latest = max((int(each) for each in kept), default=0)  # what was told has happened
            ledger = compare(life, ledger, max(latest, reads[number]), 0, by_hand=True)
        kept[one.id] = one
        if not ledger and "1" not in kept:
            continue  # what was not told to be made is left to the comparison
        known = sorted(kept.values(), key=lambda each: each.act.at)
        ledger = merged(ledger, notifications.lacking(known, ledger, by_hand=True))
    same(ledger, truth(life, 1), gone=bool(life) and life[-1].name == "delete")
