"""The year worked out a second time, from the story alone and as plainly as can be: whole microseconds and fractions.

Nothing of what is tested is imported, and nothing of how it does things is known here: the rules are those of
docs/finance. Every month is worked out anew for each later one that knows more; what is more or less, is adjusted.
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
# member's SIRET, service ("" of what is of all), meter, day from which its price was in force, step of it (0: no steps)
Used = tuple[str, str, str, str, int]
# unit-seconds (None of what is no use: a fee, what lacks to a minimum), cents, price
Charge = tuple[Fraction | None, int, Fraction]
Charges = dict[Used, Charge]
Things = dict[tuple[str, str, str], list[Data]]
SERVING = {"serving": True, "started": True, "stopped": False}
GIB = 1024
EVER = 10**18


def year(story: Data) -> dict[str, Data]:
    """By month. `usage`: by what was used or due; `adjustments`: by that and the month that is corrected; `shares`: by
    SIRET and pool (exact euros, cents, version of the key); `totals`: cents, of everyone who has a statement; `vat`:
    regime and cents; `energy`: what each one's services took.
    """
    story = story | looked_up(story)
    billed: dict[str, Charges] = {}
    found = {}
    for label in story["months"]:
        known = things(story, label)
        adjustments: dict[tuple[str, str, str, str, int, str], Charge] = {}
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
        lines: list[tuple[Any, Any]] = [*billed[label].items(), *adjustments.items(), *shares.items()]
        for key, line in lines:
            totals[key[0]] += line[1]
        found[label] = {
            "usage": billed[label], "adjustments": adjustments, "shares": shares, "totals": totals,
            "vat": {siret: taxed(story, label, siret, due) for siret, due in totals.items()},
            "energy": energy(story, label, billed[label]),
        }  # fmt: skip
    return found


def looked_up(story: Data) -> Data:
    """What is asked for again and again: `siret` by slug, `kind` by SIRET, `book` by meter and kind, `begun`."""
    story = story | {"siret": {one["slug"]: one["siret"] for one in story["members"]}}
    meters = {meter for one in story["prices"] for meter in one["hourly"]}
    kinds = {one["siret"]: one["kind"] for one in story["members"]}
    book = {(meter, kind): priced(story, meter, kind) for meter in meters for kind in set(kinds.values())}
    return {"siret": story["siret"], "kind": kinds, "book": book, "begun": begun(story)}


def compared(before: Charges, now: Charges) -> Iterator[tuple[Used, Charge]]:
    """What there is more or less now."""
    for used in before.keys() | now.keys():
        price = (before.get(used) or now[used])[2]
        nothing = (None if (before.get(used) or now[used])[0] is None else Fraction(0), 0, price)
        old, new = before.get(used, nothing), now.get(used, nothing)
        if old != new:
            seconds = None if new[0] is None or old[0] is None else new[0] - old[0]
            yield used, (seconds, new[1] - old[1], price)


def things(story: Data, label: str) -> Things:
    """What is known in that month of each thing that there ever was, in order of time."""
    failed = {(one["member"], one["service"]) for one in story["failures"] if one["told"] <= label}
    found = defaultdict(list)
    for fact in sorted(story["facts"], key=lambda fact: instant(fact["at"])):
        if fact["told"] <= label and (fact["member"], fact["service"]) not in failed:
            found[story["siret"][fact["member"]], fact["service"], fact["thing"]].append(fact)
    return found


def charges(story: Data, known: Things, label: str) -> Charges:
    """What was used in that month, at each price and step, what that comes to, and what is due besides."""
    used = rated(story, known, label)
    return used | fees(story, known, label) | minimums(story, label, used)


def rated(story: Data, known: Things, label: str) -> Charges:
    """Euros of use. What a member has of a meter fills the steps of a price one after the other, its oldest service's
    first; a step is so many units, held for as long as the price is in force in that month.
    """
    first, end = bounds(story, label)
    seconds: dict[tuple[str, str, str, str], Fraction] = defaultdict(Fraction)
    prices: dict[tuple[str, str, str, str], tuple[Any, Fraction]] = {}
    for (siret, service, thing), facts in known.items():
        for meter, quantity, since, until in held(thing, facts, end):
            for day, terms, begins, ends in story["book"][meter, story["kind"][siret]]:
                lasted = min(until, ends, end) - max(since, begins, first)
                if lasted > 0:
                    used = (siret, service, meter, day)
                    seconds[used] += quantity * Fraction(lasted, 10**6)
                    prices[used] = (terms, Fraction(min(ends, end) - max(begins, first), 10**6))
    filled: dict[tuple[str, str, str], Fraction] = defaultdict(Fraction)
    found: Charges = {}
    for used in sorted(seconds, key=lambda used: story["begun"][used[:2]]):
        siret, service, meter, day = used
        before, after = filled[siret, meter, day], filled[siret, meter, day] + seconds[used]
        filled[siret, meter, day] = after
        for step, above, upto, hourly in steps(*prices[used]):
            part = min(after, upto) - max(before, above)
            if part > 0:
                found[siret, service, meter, day, step] = (part, half_up(part * hourly * 100 / 3600), hourly)
    return found


def steps(terms: Any, lasts: Fraction) -> list[tuple[int, Fraction, Fraction, Fraction]]:
    """Of a price: number, from and up to how many unit-seconds, euros an hour. One that has no steps is one, 0."""
    if isinstance(terms, str):
        return [(0, Fraction(0), Fraction(EVER), Fraction(terms))]
    told = [("0", "0")] if "free" in terms else []
    told.append((terms.get("free", "0"), terms["price"]))
    told += [(one["above"], one["price"]) for one in terms.get("steps", ())]
    above = [Fraction(bound) * lasts for bound, _ in told]
    return [
        (place + 1, low, high, Fraction(price))
        for place, (low, high, (_, price)) in enumerate(zip(above, [*above[1:], Fraction(EVER)], told, strict=True))
    ]


def begun(story: Data) -> dict[tuple[str, str], int]:
    """By SIRET and service: its place in the order in which they came to be known."""
    facts = sorted(story["facts"], key=lambda fact: max(fact["told"], story["months"][0]))
    named = dict.fromkeys((story["siret"][fact["member"]], fact["service"]) for fact in facts)
    return {one: place for place, one in enumerate(named)}


def fees(story: Data, known: Things, label: str) -> Charges:
    """Of each service that first served in that month, at the price of that instant."""
    serving: dict[tuple[str, str], int] = {}
    for (siret, service, _), facts in known.items():
        for at in (instant(fact["at"]) for fact in facts if fact["kind"] == "serving"):
            serving[siret, service] = min(at, serving.get((siret, service), at))
    applications = {(story["siret"][member], service) for member, service in story["applications"]}
    first, end = bounds(story, label)
    found: Charges = {}
    for one, at in serving.items():
        meter = "activation_application" if one in applications else "activation"
        if first <= at < end:
            found |= {(*one, meter, day, 0): (None, cents, price)
                      for day, cents, price in at_that(story, one[0], meter, at)}  # fmt: skip
    return found


def minimums(story: Data, label: str, used: Charges) -> Charges:
    """What lacks to the minimum of the month's beginning: of each service that used something, then of the member."""
    first, _ = bounds(story, label)
    of_services: dict[tuple[str, str], int] = defaultdict(int)
    for key, (_, cents, _) in used.items():
        of_services[key[:2]] += cents
    found: Charges = {}
    of_members: dict[str, int] = defaultdict(int)
    for (siret, service), due in of_services.items():
        of_members[siret] += due
        for day, least, price in at_that(story, siret, "minimum_service", first):
            if due < least:
                found[siret, service, "minimum_service", day, 0] = (None, least - due, price)
                of_members[siret] += least - due
    for siret, due in of_members.items():
        for day, least, price in at_that(story, siret, "minimum_member", first):
            if due < least:
                found[siret, "", "minimum_member", day, 0] = (None, least - due, price)
    return found


def at_that(story: Data, siret: str, meter: str, at: int) -> list[tuple[str, int, Fraction]]:
    """The price then, if there is one: day, cents, euros."""
    return [
        (day, half_up(Fraction(price) * 100), Fraction(price))
        for day, price, begins, ends in story["book"][meter, story["kind"][siret]]
        if begins <= at < ends
    ]


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


def priced(story: Data, meter: str, kind: str) -> list[tuple[str, Any, int, int]]:
    """Day, price, from when to when. From when there is one for that kind of members on, theirs is the price."""
    general = _priced(story, meter, None, EVER)
    own = _priced(story, meter, kind, EVER)
    return _priced(story, meter, None, own[0][2]) + own if own else general


def _priced(story: Data, meter: str, kind: str | None, end: int) -> list[tuple[str, Any, int, int]]:
    told = [(one["from"], one["hourly"][meter]) for one in story["prices"]
            if meter in one["hourly"] and one.get("for") == kind]  # fmt: skip
    begins = [midnight(story, date.fromisoformat(day)) for day, _ in told]
    ends = [min(after, end) for after in (*begins[1:], EVER)] if begins else []
    return [(*one, since, until) for one, since, until in zip(told, begins, ends, strict=True) if since < until]


def taxed(story: Data, label: str, siret: str, cents: int) -> tuple[str, int]:
    """The regime of VAT of the month's last day, and VAT on the whole, half up away from zero."""
    if story["kind"][siret] == "company":
        last = (date.fromisoformat(f"{label}-01") + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        rate = [Fraction(one["rate"]) for one in story["vat"] if one["since"] <= last.isoformat()][-1]
        return "normal", half_up(abs(cents) * rate / 100) * (-1 if cents < 0 else 1)
    exempt = any(story["siret"][one["member"]] == siret and one["from"] <= label < one["until"]
                 for one in story["exempt"])  # fmt: skip
    return ("exempt" if exempt else "out_of_scope"), 0


def energy(story: Data, label: str, usage: Charges) -> dict[str, dict[str, tuple[int | None, ...]]]:
    """By SIRET and service: watt-hours, gCO2e of use, gCO2e of fabrication; None: a factor is not known."""
    by = {code: Fraction(value) for since, code, value in sorted(story["factors"]) if since <= label}
    served: dict[tuple[str, str], dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for (siret, service, meter, _, _), (seconds, _, _) in usage.items():
        if meter in ("vcpu", "vcpu_stopped", "volume", "snapshot"):
            served[siret, service][meter] += seconds or 0
    found: dict[str, dict[str, tuple[int | None, ...]]] = defaultdict(dict)
    for (siret, service), hours in served.items():
        found[siret][service] = took(by, hours["vcpu"] / 3600, (hours["volume"] + hours["snapshot"]) / 3600)
    return found


def took(by: dict[str, Fraction], vcpu_hours: Fraction, gib_hours: Fraction) -> tuple[int | None, ...]:
    """The formula of docs/finance/energy.md."""
    watt_hours = grams = made = None
    if "pue" in by:
        watts = by["idle_watts"] + (by["full_watts"] - by["idle_watts"]) * by["load"]
        watt_hours = half_up((vcpu_hours * watts + gib_hours / GIB * by["tib_watts"]) * by["pue"])
        grams = half_up(Fraction(watt_hours, 1000) * by["carbon"]) if "carbon" in by else None
    if "embodied" in by:
        made = half_up(vcpu_hours * by["embodied"])
    return watt_hours, grams, made


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
        used_up = (cents for used, (held, cents, _) in usage.items() if used[0] == siret and held is not None)
        return Fraction(sum(used_up), 100)
    if criterion == "vcpu":
        return sum((held or Fraction(0) for used, (held, *_) in usage.items() if used[::2][:2] == (siret, "vcpu")),
                   Fraction(0))  # fmt: skip
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


def half_up(number: Fraction) -> int:
    """Of what is not below zero."""
    return floor(number + Fraction(1, 2))


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
