"""A year of an invented agglomeration, as plain data: what happened, when, and when it came to be known.

Thirty communes, two of which merge on 1 July, and two companies. Instants are UTC. `told`: the first month whose draft
knows of a fact; a month later than the fact's own makes it late. Nothing of ours is imported, nothing is by chance.
"""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

Data = dict[str, Any]
ZONE = "Europe/Paris"
YEAR = "2024"  # 29 days in February; clocks change on 31 March and 27 October, both at 01:00 UTC
MONTHS = tuple(f"{YEAR}-{number:02}" for number in range(1, 13))
MERGER = "2024-07"
MIDNIGHT = "2024-06-30 22:00:00"  # of 1 July, there
OLD, NEW = ("c07", "c08"), "valnouvelle"

# first, last: the months in which it is a member; population: by the month from which it is so many.
MEMBERS: list[Data] = [
    {"slug": f"c{number:02}", "siret": f"{200000000 + number * 7919:09}00013", "kind": "commune", "first": "2024-01",
     "last": "2024-06" if f"c{number:02}" in OLD else None, "population": {"2024-01": 180 + number * number * 37}}
    for number in range(1, 31)
]  # fmt: skip
MEMBERS += [
    {"slug": slug, "siret": f"{siren}00021", "kind": "company", "first": "2024-01", "last": None, "population": {}}
    for slug, siren in (("scierie", "812345678"), ("laiterie", "100000009"))
]
# The one that c07 and c08 become.
MEMBERS.append({"slug": NEW, "siret": "20099999900017", "kind": "commune", "first": MERGER, "last": None,
                "population": {MERGER: 180 + 49 * 37 + 180 + 64 * 37}})  # fmt: skip
for _member in MEMBERS:
    if _member["slug"] == "c12":  # a census
        _member["population"]["2024-04"] = 6001

# In the middle of May; on 1 September; on the very day when October has 25 hours. Units that are free, and steps, are
# of all that a member has; `for`: companies only. What begins to serve costs `activation` once, and a month costs at
# least the minimum, of each service and of a member as a whole.
PRICES: list[Data] = [
    {"from": "2024-01-01", "hourly": {"vcpu": "0.0065", "ram": "0.00251", "vcpu_stopped": "0.0006", "volume": "0.00012",
     "ram_stopped": "0.00021", "public_address": "0.0038", "snapshot": "0.00005"}},
    {"from": "2024-02-01", "hourly": {"activation": "15.00", "activation_application": "40", "minimum_service": "3.5"}},
    {"from": "2024-02-12", "for": "company", "hourly": {
        "vcpu": {"price": "0.0091", "free": "1", "steps": [{"above": "3", "price": "0.0085"}]},
        "public_address": "0.006"}},
    {"from": "2024-03-11", "hourly": {
        "volume": {"price": "0.00012", "steps": [{"above": "20", "price": "0.0001"}, {"above": "45", "price": "0"}]}}},
    {"from": "2024-04-01", "hourly": {"snapshot": {"price": "0.00005", "free": "4.5"}}},
    {"from": "2024-05-02", "for": "company", "hourly": {"activation": "30.005", "minimum_member": "40.00"}},
    {"from": "2024-05-16", "hourly": {"vcpu": "0.00712345",
     "volume": {"price": "0.00011", "free": "12", "steps": [{"above": "60.5", "price": "0.00009"}]}}},
    {"from": "2024-09-01", "hourly": {"ram": "0.0024", "public_address": "0.0041"}},
    {"from": "2024-09-16", "hourly": {"minimum_service": "21.125"}},
    {"from": "2024-10-27", "hourly": {"vcpu": "0.00699999", "ram_stopped": "0"}},
]  # fmt: skip

# Percent, from a day on; of companies. Exempt: a commune that is billed what a unit costs, exactly, for some months.
VAT: list[Data] = [{"since": "2014-01-01", "rate": "20"}, {"since": "2024-11-30", "rate": "19.6"}]
EXEMPT: list[Data] = [{"member": "c10", "from": "2024-06", "until": "2024-10"}]
COSTS: list[Data] = [
    {"since": "2024-06", "hourly": {"vcpu": "0.00712345", "ram": "0.00251", "vcpu_stopped": "0.0006",
     "ram_stopped": "0.00021", "public_address": "0.0038"}},
    {"since": "2024-09", "hourly": {"ram": "0.0024", "public_address": "0.0041"}},
]  # fmt: skip
# Nothing is known of January; of February not what a kWh emits.
FACTORS: list[tuple[str, str, str]] = [
    ("2024-02", "idle_watts", "2.8"), ("2024-02", "full_watts", "9.25"), ("2024-02", "load", "0.35"),
    ("2024-02", "tib_watts", "4.1"), ("2024-02", "pue", "1.52"), ("2024-03", "carbon", "53.3"),
    ("2024-07", "pue", "1.4"), ("2024-10", "carbon", "49"), ("2024-04", "embodied", "1.137"),
]  # fmt: skip

# Three versions of the key of most costs. The third begins in mid-September: October is its first month.
KEYS: list[Data] = [
    {"code": "commune", "version": 1, "from": "2024-01-01", "weights": {"population": "1"}},
    {"code": "commune", "version": 2, "from": "2024-05-01", "weights": {"population": "0.65", "equal": "0.35"}},
    {"code": "commune", "version": 3, "from": "2024-09-15",
     "weights": {"population": "0.4", "usage": "0.25", "vcpu": "0.3", "equal": "0.05"}},
    {"code": "mesure", "version": 1, "from": "2024-01-01", "weights": {"usage": "0.5", "vcpu": "0.5"}},
    {"code": "egal", "version": 1, "from": "2024-01-01", "weights": {"equal": "1"}},
]  # fmt: skip
# monthly: euros a month, from a month on; months: of that month alone.
POOLS: list[Data] = [
    {"code": "energie", "key": "mesure", "section": "fonctionnement",
     "monthly": {"2024-01": "1911.47", "2024-08": "2044.10"}, "months": {"2024-02": "0.07"}},
    {"code": "equipe", "key": "commune", "section": "fonctionnement", "monthly": {"2024-01": "4250.00"}, "months": {}},
    {"code": "serveurs", "key": "commune", "section": "investissement", "monthly": {"2024-03": "2083.33"},
     "months": {"2024-12": "2083.37"}},
    {"code": "subvention", "key": "egal", "section": "fonctionnement", "monthly": {},
     "months": {"2024-06": "-1000.00", "2024-11": "-0.01"}},
]  # fmt: skip

FACTS: list[Data] = []
APPLICATIONS = [("c14", "archives")]  # the services that are no plain machine
# Services whose creation turned out to have failed: from that month on nothing of them was ever due.
FAILURES: list[Data] = [{"member": "c26", "service": "essai", "told": "2024-11"}]


def tell(member: str, service: str, thing: str, *facts: tuple[Any, ...], told: str = "") -> None:
    """Facts: (what, when, size): of servers vCPUs and MiB, of volumes and images GiB, of addresses nothing."""
    for kind, at, *size in facts:
        there = datetime.fromisoformat(at).replace(tzinfo=UTC).astimezone(ZoneInfo(ZONE))
        fact = {"member": member, "service": service, "thing": thing, "kind": kind, "at": at, "size": size}
        FACTS.append({**fact, "told": told or f"{there:%Y-%m}", "late": bool(told)})


def _ordinary(number: int, who: str) -> None:
    """What each has: a server all year, or part of it, stopped at times, resized; a volume, an address, an image."""
    size, begun = (1 + number % 4, 1000 + 524 * (number % 7)), f"2023-{1 + number % 12:02}-17 08:{number:02}:00.125"
    tell(who, "mairie", "server", ("launched", begun, *size), ("serving", f"{begun[:-3]}975", *size))
    if number % 3 == 0:
        for month in MONTHS[number % 4 :: 4]:
            tell(who, "mairie", "server", ("stopped", f"{month}-05 18:00:00.5", *size))
            tell(who, "mairie", "server", ("started", f"{month}-08 06:{number:02}:11.000001", *size))
    if number % 5 == 0:  # stopped over the night of a clock that changes
        tell(
            who,
            "mairie",
            "server",
            ("stopped", "2024-03-30 21:00:00", *size),
            ("started", "2024-03-31 01:30:00", *size),
        )
        tell(
            who,
            "mairie",
            "server",
            ("stopped", "2024-10-26 23:30:00", *size),
            ("started", "2024-10-27 02:15:00", *size),
        )
    if number % 4 == 1:
        month = MONTHS[number % 12]
        tell(who, "mairie", "server", ("resized", f"{month}-19 04:00:00", size[0] + 2, size[1] * 2))
    if number % 2:
        tell(
            who,
            "mairie",
            "volume",
            ("created", begun, 10 + number),
            ("resized", f"{MONTHS[number % 11]}-11 10:10:10", 60),
        )
    if number % 3 == 1:
        tell(who, "mairie", "floating_ip", ("created", "2024-01-31 22:59:59.999999"))
    if number % 6 == 4:
        tell(
            who,
            "mairie",
            "image",
            ("created", f"{MONTHS[number % 9]}-28 01:00:00", 15),
            ("deleted", f"{MONTHS[number % 9 + 1]}-04 01:00:00", 15),
        )
    if number % 6 == 2:  # of a few days, over a month's end
        month, after = MONTHS[number % 10], MONTHS[number % 10 + 1]
        tell(
            who,
            "archives",
            "server",
            ("launched", f"{month}-27 09:00:00", 2, 2048),
            ("serving", f"{month}-27 09:01:07", 2, 2048),
        )
        tell(who, "archives", "server", ("deleted", f"{after}-02 17:30:00", 2, 2048))


for _number in range(1, 31):
    if f"c{_number:02}" not in OLD:
        _ordinary(_number, f"c{_number:02}")
_ordinary(31, "scierie")
tell("laiterie", "caves", "volume", ("created", "2024-06-30 21:00:00", 1250))  # the last hour of June, there

# Two communes become one: what they had ends at that midnight, and goes on as the new one's.
for _place, _old in enumerate(OLD):
    _size = (2 + _place, 4096 + _place * 512)
    tell(
        _old,
        "mairie",
        "server",
        ("launched", "2023-02-01 10:00:00", *_size),
        ("serving", "2023-02-01 10:01:00", *_size),
    )
    tell(_old, "mairie", "server", ("deleted", MIDNIGHT, *_size))
    tell(_old, "mairie", "volume", ("created", "2023-02-01 10:00:00", 40), ("deleted", MIDNIGHT, 40))
    tell(
        NEW,
        f"mairie-{_old}",
        "server",
        ("launched", MIDNIGHT, *_size),
        ("serving", "2024-06-30 22:00:00.000001", *_size),
    )
    tell(NEW, f"mairie-{_old}", "volume", ("created", MIDNIGHT, 40))

# Told late. A volume that was gone two months ago; then that it was gone even before.
tell("c03", "mairie", "volume", ("deleted", "2024-02-10 10:00:00", 13), told="2024-04")
tell("c03", "mairie", "volume", ("deleted", "2024-01-20 10:00:00.25", 13), told="2024-05")
# A server that was gone for five months: over a price that changed, and a key that did.
tell("c14", "mairie", "server", ("deleted", "2024-05-11 07:00:00", 3, 1000), told="2024-10")
# Stopped over the short night, known two months after; started again, known a month after that.
tell("c22", "mairie", "server", ("stopped", "2024-03-30 23:15:00", 3, 1524), told="2024-05")
tell("c22", "mairie", "server", ("started", "2024-04-02 06:00:00", 3, 1524), told="2024-06")
# Grown earlier than known, and then smaller than known.
tell("c17", "mairie", "server", ("resized", "2024-02-14 12:00:00", 8, 16384), told="2024-03")
tell("c17", "mairie", "server", ("resized", "2024-02-20 12:00:00.333333", 2, 3000), told="2024-06")
# Never told of until it was over: lines that closed months had not.
_forgotten = (("launched", "2024-02-03 08:00:00", 2, 2560), ("serving", "2024-02-03 08:00:30", 2, 2560),
              ("deleted", "2024-05-20 08:00:00", 2, 2560))  # fmt: skip
tell("c30", "oubli", "server", *_forgotten, told="2024-07")
tell("c30", "oubli", "floating_ip", ("created", "2024-02-03 08:00:00"), told="2024-07")
# Of the one that is exempt from VAT then.
tell("c10", "mairie", "floating_ip", ("deleted", "2024-07-20 10:00:00"), told="2024-09")
# In the long night, in the hour that came twice; and on the last second of a month there.
tell("c11", "mairie", "server", ("stopped", "2024-10-27 00:30:00", 4, 3096), told="2024-12")
tell("c19", "mairie", "volume", ("resized", "2024-08-31 21:59:59", 90), told="2024-11")
# Of a commune that is no more, three months after it merged.
tell("c08", "mairie", "volume", ("deleted", "2024-06-12 12:00:00", 40), told="2024-09")
# Of a company.
tell("scierie", "mairie", "server", ("stopped", "2024-06-30 21:59:30", 4, 2572), told="2024-08")
# What failed was served, as it seemed, for two months.
tell(
    "c26", "essai", "server", ("launched", "2024-09-12 09:00:00", 4, 8192), ("serving", "2024-09-12 09:02:00", 4, 8192)
)
tell("c26", "essai", "volume", ("created", "2024-09-12 09:00:00", 200))

STORY: Data = {
    "zone": ZONE, "months": MONTHS, "members": MEMBERS, "prices": PRICES, "keys": KEYS, "pools": POOLS,
    "facts": FACTS, "failures": FAILURES, "applications": APPLICATIONS, "vat": VAT, "exempt": EXEMPT, "costs": COSTS,
    "factors": FACTORS,
}  # fmt: skip
