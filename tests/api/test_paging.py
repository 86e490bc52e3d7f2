"""Long lists come in parts: nothing is left out or said twice, the sums are of the whole, and one page has it all."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient

from api import paging
from orchestrator.database import territory_session
from tenants import periods
from tenants.finance import Sharing
from tests.api.people import invite
from tests.tenants.ledger import BOOK, LATER, PARIS, Ledger

pytestmark = pytest.mark.slow

MONTH = "2026-03"
SERVICES = 120


@pytest.fixture
def declared(owner: sa.Engine) -> Sharing:
    """A commune with many services of different prices, and another with one; their month is closed."""
    with territory_session(owner, "tests") as session:
        ledger = Ledger(session)
        ledger.prices(("2026-01-01", BOOK))
        ledger.member("aubrac", 1, 1000)
        ledger.member("breval", 2, 3000)
        for number in range(SERVICES):
            hour = f"2026-03-{number % 28 + 1:02} {number % 24:02}:{number % 60:02}"
            service = ledger.service("aubrac", f"service-{number:03}")
            ledger.server(service, ("launched", hour, 1, 2048), ("serving", hour, 1, 2048))
        one = ledger.service("breval", "seul")
        ledger.server(one, ("launched", "2026-03-02 08:00", 2, 4096), ("serving", "2026-03-02 08:00", 2, 4096))
        sharing = ledger.sharing({"tous": {"equal": "1"}}, {"plateforme": ("tous", "100.00")})
        periods.draft(session, MONTH, sharing, LATER, PARIS)
        assert periods.check(session, MONTH) == []
        periods.close(session, MONTH, LATER)
    return sharing


def finance(app: APIFlask, member: str | None) -> FlaskClient:
    return invite(app, "Odile", member, ["finance"] if member else ["territory_finance"]).client()


def walk(client: FlaskClient, path: str) -> list[str]:
    """The pages that « Suivants » leads to."""
    found = [client.get(path).text]
    while following := re.search(r'rel="next" href="([^"]+)"', found[-1]):
        found.append(client.get(following[1].replace("&amp;", "&")).text)
    return found


def names(page: str) -> list[str]:
    return re.findall(r"service-\d{3}", page)


def euros(text: str) -> Decimal:
    return Decimal(re.sub(r"[^\d,]", "", text).replace(",", "."))


def statement(client: FlaskClient) -> str:
    found = re.search(r'href="(/statements/\d+)"', client.get("/statements").text)
    assert found
    return found[1]


@pytest.mark.parametrize("base", ["/statements", "/finance/statements"])
def test_a_statement_comes_whole_in_parts(app: APIFlask, declared: Sharing, base: str) -> None:
    client = finance(app, "aubrac")
    path = statement(client).replace("/statements", base)
    client = client if base == "/statements" else finance(app, None)
    pages = walk(client, path)
    assert [len(set(names(page))) for page in pages] == [50, 50, 20]
    seen = [name for page in pages for name in dict.fromkeys(names(page))]
    assert seen == [f"service-{number:03}" for number in range(SERVICES)]
    lines = re.compile(r'lines/\d+".*?class="number">[^<]*</td>\s*</tr>', re.DOTALL)
    amounts = [euros(re.findall(r">([^<>]*)</td>", row)[-1]) for page in pages for row in lines.findall(page)]
    [usage] = {euros(found) for page in pages for found in _usage(page)}
    assert len(amounts) == 2 * SERVICES and sum(amounts) == usage
    assert all("50,00\xa0€" in page for page in pages)  # the share of the common costs, on each
    whole = client.get(f"{path}?all=1").text
    assert len(set(names(whole))) == SERVICES and 'class="pager"' not in whole


def _usage(page: str) -> list[str]:
    return re.findall(r"Consommations</(?:p|dt)>\s*<(?:p|dd)[^>]*>([^<]+)<", page)


def test_costs_come_dearest_first_in_parts(app: APIFlask, declared: Sharing) -> None:
    client = finance(app, "aubrac")
    pages = walk(client, f"/costs?month={MONTH}")
    assert [len(names(page)) for page in pages] == [100, 20]
    rows = [row for page in pages for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if names(row)]
    amounts = [euros(re.findall(r">([^<>]*)</td>", row)[0]) for row in rows]
    assert len(set(map(str, rows))) == SERVICES
    assert amounts == sorted(amounts, reverse=True)
    totals = {euros(found) for page in pages for found in re.findall(r"Total</th>\s*<td[^>]*>([^<]+)<", page)}
    assert totals == {sum(amounts)}
    assert len(names(client.get(f"/costs?month={MONTH}&all=1").text)) == SERVICES


def test_a_short_list_has_no_parts(app: APIFlask, declared: Sharing) -> None:
    client = finance(app, "breval")
    assert 'class="pager"' not in client.get(statement(client)).text
    assert 'class="pager"' not in client.get(f"/costs?month={MONTH}").text


@pytest.mark.parametrize(
    ("asked", "start", "stop", "previous", "following"),
    [
        ("", 0, 100, None, "/costs?month=2026-03&page=2"),
        ("page=2", 100, 200, "/costs?month=2026-03&page=1", "/costs?month=2026-03&page=3"),
        ("page=3&lang=en", 200, 201, "/costs?month=2026-03&page=2", None),
        ("page=99", 200, 201, "/costs?month=2026-03&page=2", None),
        ("page=-1", 0, 100, None, "/costs?month=2026-03&page=2"),
        ("page=zwei", 0, 100, None, "/costs?month=2026-03&page=2"),
    ],
)
def test_a_part_knows_its_neighbours(
    app: APIFlask, asked: str, start: int, stop: int, previous: str | None, following: str | None
) -> None:
    with app.test_request_context(f"/costs?month=2026-03&{asked}"):
        found = paging.part(201, 100)
    assert (found.start, found.stop, found.previous, found.next) == (start, stop, previous, following)
    assert found.whole == "/costs?month=2026-03&all=1"


@pytest.mark.parametrize(("asked", "total"), [("", 0), ("", 100), ("all=1", 500), ("page=7", 100)])
def test_what_fits_is_whole(app: APIFlask, asked: str, total: int) -> None:
    with app.test_request_context(f"/costs?{asked}"):
        assert paging.part(total, 100) == paging.Part(0, total, total)
