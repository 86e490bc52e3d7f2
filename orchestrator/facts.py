"""What the ledger lacks of a thing, by what the cloud says of it: plain data in, plain data out.

Facts have the cloud's own moments and are only added; a second look at the same cloud finds nothing. What is known is
never contradicted in the past: where the cloud says only how a thing is now, it is so since the cloud last changed it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.cloud_history import Act, Found
from orchestrator.events import Size

# Nova's acts and states that say whether a server runs; of a paused one the memory is held as of one that runs.
ACTS = {
    "stop": "stopped", "shelve": "stopped", "suspend": "stopped",
    "start": "started", "unshelve": "started", "resume": "started",
}  # fmt: skip
STATES = {
    "ACTIVE": "started", "PAUSED": "started", "SHUTOFF": "stopped", "SUSPENDED": "stopped", "SHELVED": "stopped",
    "SHELVED_OFFLOADED": "stopped",
}  # fmt: skip
SIZING = ("resize", "revertResize")
TELLING_SIZE = ("create", *SIZING)
MOVING = ("RESIZE", "REVERT_RESIZE", "MIGRATING", "REBUILD", "BUILD", "ERROR", "UNKNOWN")
NEXT = timedelta(microseconds=1)
BESIDE = timedelta(milliseconds=1)  # so near, a size is no change of its own but what another fact lacks
SAME = timedelta(seconds=10)  # two who tell of one act (Nova's list of acts, a notification) don't agree to the second


@dataclass(frozen=True)
class Fact:
    """Something that happened to a thing, and its size from then on."""

    kind: str
    at: datetime
    size: Size


def lacking(
    found: Found, acts: Sequence[Act], ledger: Sequence[Fact], *, by_hand: bool, until: datetime | None = None
) -> list[Fact]:
    """The facts to add to a thing's ledger, which is in its own order.

    acts: of a server, those that our flows did not ask for. by_hand: nobody ordered it, so it serves since it runs.
    until: the cloud said so at that instant (a notification), of an act; what the ledger has of later stays true.
    """
    gone = next((fact.at for fact in ledger if fact.kind == "deleted"), None)
    if gone and (until is None or gone <= until):
        until = gone - NEXT  # what was done before may still be lacking
    line = _Line(ledger, Size(found.vcpus, found.ram_mib, found.disk_gib), until)
    if not ledger and found.created_at:
        line.add("created", found.created_at)
    if found.kind == "server":
        _launch(line, found, acts, by_hand)
    if line.first:
        if until is None or any(act.name in TELLING_SIZE for act in acts):
            _resize(line, found, acts)
        if line.last("serving"):
            _power(line, found, acts)
        if found.deleted_at and not line.has("deleted"):
            line.add("deleted", max(found.deleted_at, line.first))
    return line.new


class _Line:
    """A thing's facts in order, and what was added to them. until: of later ones the cloud says nothing."""

    def __init__(self, ledger: Sequence[Fact], size: Size, until: datetime | None) -> None:
        self.facts, self.size, self.until, self.new = list(ledger), size, until, list[Fact]()

    @property
    def first(self) -> datetime | None:
        return self.facts[0].at if self.facts else None

    def has(self, kind: str) -> bool:
        return any(fact.kind == kind for fact in self.facts)

    def last(self, *kinds: str, until: datetime | None = None) -> Fact | None:
        """The last of these kinds, of any without; until: at that instant or before."""
        bounds = [bound for bound in (until, self.until) if bound]
        chosen = (
            fact for fact in reversed(self.facts)
            if (not kinds or fact.kind in kinds) and all(fact.at <= bound for bound in bounds)
        )  # fmt: skip
        return next(chosen, None)

    def next(self, *kinds: str, after: datetime) -> Fact | None:
        """The first of these kinds that is later, whoever told it."""
        return next((fact for fact in self.facts if fact.kind in kinds and fact.at > after), None)

    def _sizes(self) -> list[Fact]:
        """Those that are about the size; not those that only correct what another one says of it at their instant."""
        others = [fact.at for fact in self.facts if fact.kind in POWER]
        return [
            fact for fact in self.facts
            if fact.kind == "created"
            or (fact.kind == "resized" and not any(at <= fact.at < at + BESIDE for at in others))
        ]  # fmt: skip

    def size_since(self, at: datetime) -> Size:
        """The size that holds from the fact of this instant on, with what corrects it there."""
        return next(fact.size for fact in reversed(self.facts) if at <= fact.at < at + BESIDE)

    def last_size(self) -> Fact | None:
        return next((fact for fact in reversed(self._sizes()) if self.until is None or fact.at <= self.until), None)

    def other_size(self) -> Fact | None:
        """What is known to have given another size since, where the cloud says how it was then."""
        return next((fact for fact in self._sizes() if self.until and fact.at > self.until), None)

    def add(self, kind: str, at: datetime, size: Size | None = None) -> None:
        """With the size that holds then, if none is given; the ledger has one fact of a kind at an instant."""
        while any(fact.kind == kind and fact.at == at for fact in self.facts):
            at += NEXT
        before = self.last(until=at)
        fact = Fact(kind, at, size or (before.size if before else self.size))
        self.facts.insert(bisect_right(self.facts, at, key=lambda one: one.at), fact)
        self.new.append(fact)


def _launch(line: _Line, found: Found, acts: Sequence[Act], by_hand: bool) -> None:
    """Nova's launches, which it dates anew at each size; what was made by hand serves from the first one on."""
    if found.launched_at is None or line.first is None:
        return
    first_seen = by_hand and not line.has("serving")
    if first_seen:
        made = [act.at for act in acts if act.name == "create"]
        began = max(line.first, min([found.launched_at, *made]))
        line.add("launched", began)
        line.add("serving", began)
    elif line.until:
        return  # that Nova dated it anew is for the comparison to say
    if not any(fact.kind == "launched" and fact.at == found.launched_at for fact in line.facts):
        line.add("launched", found.launched_at)
        if first_seen:  # of which size it was before is not known, but may be told
            line.add("resized", found.launched_at, line.size)


def _resize(line: _Line, found: Found, acts: Sequence[Act]) -> None:
    """Another size than the last one known holds since the last act that gives one, or since Nova ran it so."""
    last, sized = line.last() or line.facts[0], line.last_size() or line.facts[0]
    given = [act.at for act in acts if act.name in SIZING]
    if found.status in MOVING or last.size == line.size or (found.deleted_at and not given):
        return
    ends = line.other_size()
    if ends and line.until and ends.size == line.size and ends.at <= line.until + SAME:
        return
    said = given[-1] if given else found.launched_at or found.updated_at or last.at
    since = max(said, sized.at)
    # Events carry the size that holds from then on: those that came later must say it too.
    after = [fact for fact in line.facts if fact.at > since and (ends is None or fact.at < ends.at)]
    later = {fact.at for fact in after if fact.kind not in ("resized", "deleted")}
    for at in (since, *sorted(at for at in later if line.size_since(at) != line.size)):
        line.add("resized", at, line.size)


def _power(line: _Line, found: Found, acts: Sequence[Act]) -> None:
    """Each stop and start that was done outside; at the end, what the cloud says now."""
    serving = line.last("serving")
    assert serving is not None
    for act in acts:
        kind, after = ACTS.get(act.name), line.next(*POWER, after=act.at)
        known = act.at < serving.at or (after is not None and after.kind == kind and after.at <= act.at + SAME)
        if kind and not known and _runs(line.last(*POWER, until=act.at)) != (kind == "started"):
            line.add(kind, act.at)
    wanted, last = STATES.get(found.status), line.last(*POWER)
    if wanted and last and _runs(last) != (wanted == "started"):
        line.add(wanted, max(found.updated_at or last.at, last.at))


POWER = ("serving", "started", "stopped")


def _runs(fact: Fact | None) -> bool:
    return fact is not None and fact.kind != "stopped"
