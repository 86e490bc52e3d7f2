"""The year worked out a second time, from the story alone and as plainly as can be: whole microseconds and fractions.

Nothing of what is tested is imported, and nothing of how it does things is known here: the rules are those of
docs/finance/meter.md. Every month is worked out anew for each later one that knows more; what is more or less, is
adjusted.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

Data = dict[str, Any]
# member's SIRET, service, meter, day from which its price was in force
Used = tuple[str, str, str, str]
Charges = dict[Used, tuple[Fraction, int]]  # unit-seconds, cents
SERVING = {"serving": True, "started": True, "stopped": False}
GIB = 1024


def year(story: Data) -> dict[str, Data]:
    """By month. `usage`: by what was used; `adjustments`: by that and the month that is corrected; `shares`: by SIRET
    and pool (exact euros, cents, version of the key); `totals`: cents, of everyone who has a statement.
    """
    billed: dict[str, Charges] = {}
    found = {}
    for label in story["months"]:
        known = things(story, label)
        adjustments = {}
        for earlier, before in billed.items():
            billed[earlier] = charges(story, known, earlier)
            for used, difference in compared(before, billed[earlier]):
                adjustments[*used, earlier] = difference
        billed[label] = charges(story, known, label)
        who = {used[0] for used in (*billed[label], *adjustments)} | members_of(story, label)
        # Who is no member any more, and used nothing, bears nothing in common.
        bearing = {used[0] for used in billed[label]} | members_of(story, label)
        shares = shared(story, label, billed[label], who, bearing)
        totals = dict.fromkeys(who, 0)
        for key, (_, cents, *_) in (*billed[label].items(), *adjustments.items(), *shares.items()):
            totals[key[0]] += cents
        found[label] = {"usage": billed[label], "adjustments": adjustments, "shares": shares, "totals": totals}
    return found


def compared(before: Charges, now: Charges) -> Iterator[tuple[Used, tuple[Fraction, int]]]:
    """What there is more or less now."""
    nothing = (Fraction(0), 0)
    for used in before.keys() | now.keys():
        old, new = before.get(used, nothing), now.get(used, nothing)
        if old != new:
            yield used, (new[0] - old[0], new[1] - old[1])


def things(story: Data, label: str) -> dict[tuple[str, str, str], list[Data]]:
    """What is known in that month of each thing that there ever was, in order of time."""
    siret = {member["slug"]: member["siret"] for member in story["members"]}
    failed = {(one["member"], one["service"]) for one in story["failures"] if one["told"] <= label}
    found = defaultdict(list)
    for fact in sorted(story["facts"], key=lambda fact: instant(fact["at"])):
        if fact["told"] <= label and (fact["member"], fact["service"]) not in failed:
            found[siret[fact["member"]], fact["service"], fact["thing"]].append(fact)
    return found


def charges(story: Data, known: dict[tuple[str, str, str], list[Data]], label: str) -> Charges:
    """What was used in that month, at each price, and what that comes to."""
    month = bounds(story, label)
    book = {meter: priced(story, meter) for meter in story["prices"][0]["hourly"]}
    seconds: dict[Used, Fraction] = defaultdict(Fraction)
    prices: dict[Used, Fraction] = {}
    for (siret, service, thing), facts in known.items():
        for meter, quantity, since, until in held(thing, facts, month[1]):
            for day, hourly, begins, ends in book[meter]:
                lasted = min(until, ends, month[1]) - max(since, begins, month[0])
                if lasted > 0:
                    used = (siret, service, meter, day)
                    seconds[used] += quantity * Fraction(lasted, 10**6)
                    prices[used] = hourly
    return {used: (held, half_up(held * prices[used] * 100 / 3600)) for used, held in seconds.items()}


def held(thing: str, facts: list[Data], end: int) -> Iterator[tuple[str, Fraction, int, int]]:
    """Meter, quantity, from when to when. What is deleted comes back by nothing."""
    serves = None if thing == "server" else True
    for place, fact in enumerate(facts):
        if fact["kind"] == "deleted":
            return
        if thing == "server":
            serves = SERVING.get(fact["kind"], serves)
        until = instant(facts[place + 1]["at"]) if place + 1 < len(facts) else end
        for meter, quantity in counted(thing, fact["size"], serves):
            yield meter, quantity, instant(fact["at"]), until


def counted(thing: str, size: list[int], serves: bool | None) -> list[tuple[str, Fraction]]:
    """What counts of a thing of that size."""
    if thing == "server":
        end = {True: "", False: "_stopped"}.get(serves) if serves is not None else None
        return [] if end is None else [("vcpu" + end, Fraction(size[0])), ("ram" + end, Fraction(size[1], GIB))]
    if thing == "floating_ip":
        return [("public_address", Fraction(1))]
    return [({"volume": "volume", "image": "snapshot"}[thing], Fraction(size[0]))]


def priced(story: Data, meter: str) -> list[tuple[str, Fraction, int, int]]:
    """Day, euros an hour, from when to when."""
    told = [(one["from"], Fraction(one["hourly"][meter])) for one in story["prices"] if meter in one["hourly"]]
    begins = [midnight(story, date.fromisoformat(day)) for day, _ in told]
    return [(*one, *when) for one, when in zip(told, zip(begins, [*begins[1:], 10**18], strict=True), strict=True)]


def shared(
    story: Data, label: str, usage: Charges, who: set[str], bearing: set[str]
) -> dict[tuple[str, str], tuple[Fraction, int, int]]:
    """Each cost of that month, divided between `bearing`; of the others of `who`, nothing."""
    found = {}
    for pool in story["pools"]:
        since = max((month for month in pool["monthly"] if month <= label), default=None)
        amount = pool["months"].get(label, pool["monthly"].get(since))
        if amount is None:
            continue
        key = [one for one in story["keys"] if one["code"] == pool["key"] and one["from"] <= f"{label}-01"][-1]
        weights = {**dict.fromkeys(who, Fraction(0)), **weighed(story, key["weights"], label, usage, bearing)}
        for siret, (exact, cents) in divided(Decimal(amount), weights).items():
            found[siret, pool["code"]] = (exact, cents, key["version"])
    return found


def weighed(story: Data, parts: dict[str, str], label: str, usage: Charges, who: set[str]) -> dict[str, Fraction]:
    """Everybody's part of one: criterion by criterion."""
    whole = dict.fromkeys(who, Fraction(0))
    for criterion, part in parts.items():
        measured = {siret: measure(story, criterion, label, usage, siret) for siret in who}
        for siret in who:
            whole[siret] += Fraction(part) * measured[siret] / sum(measured.values())
    return whole


def measure(story: Data, criterion: str, label: str, usage: Charges, siret: str) -> Fraction:
    """Inhabitants; euros of what was used; vCPU-seconds that served; one."""
    if criterion == "population":
        [told] = [member["population"] for member in story["members"] if member["siret"] == siret]
        return Fraction(told[max(month for month in told if month <= label)] if told else 0)
    if criterion == "usage":
        return Fraction(sum(cents for used, (_, cents) in usage.items() if used[0] == siret), 100)
    if criterion == "vcpu":
        return sum((held for used, (held, _) in usage.items() if used[0] == siret and used[2] == "vcpu"), Fraction(0))
    return Fraction(1)


def divided(amount: Decimal, weights: dict[str, Fraction]) -> dict[str, tuple[Fraction, int]]:
    """Exact euros, and cents: rounded down, then a cent more for whoever lost most by that, the least SIRET first."""
    exact = {siret: Fraction(abs(amount)) * weight / sum(weights.values()) for siret, weight in weights.items()}
    cents = {siret: floor(share * 100) for siret, share in exact.items()}
    lost = sorted(exact, key=lambda siret: (cents[siret] - exact[siret] * 100, siret))
    for siret in lost[: int(abs(amount) * 100) - sum(cents.values())]:
        cents[siret] += 1
    sign = -1 if amount < 0 else 1
    return {siret: (sign * exact[siret], sign * cents[siret]) for siret in exact}


def members_of(story: Data, label: str) -> set[str]:
    """Who is a member in that month."""
    return {one["siret"] for one in story["members"] if one["first"] <= label <= (one["last"] or label)}


def half_up(cents: Fraction) -> int:
    return floor(cents + Fraction(1, 2))


def instant(text: str) -> int:
    """Microseconds."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


def midnight(story: Data, day: date) -> int:
    """The instant when that day begins there."""
    there = datetime.combine(day, time(), ZoneInfo(story["zone"]))
    return instant(there.astimezone(UTC).replace(tzinfo=None).isoformat())


def bounds(story: Data, label: str) -> tuple[int, int]:
    """The first instant of the month, and the first after it."""
    first = date.fromisoformat(f"{label}-01")
    return midnight(story, first), midnight(story, (first + timedelta(days=31)).replace(day=1))
