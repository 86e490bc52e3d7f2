"""The app on a real database, callers with tokens of their own, and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from click.testing import CliRunner, Result
from jinja2.bccache import Bucket, BytecodeCache
from playwright.sync_api import Browser, sync_playwright
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

import orchestrator.settings
from api.app import create
from api.cli import main
from orchestrator.settings import Settings
from tenants.tables_identity import MEMBER_ROLES
from tests.api.listening import listening
from tests.api.people import Person, invite
from tests.tenants.ordering import member, seed

Run = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def routes_compiled_once() -> Iterator[None]:
    """Each test has an app of its own with the same routes: to compile them anew is half of what making one costs."""
    compile_rule = Rule.compile
    compiled: dict[tuple[object, ...], dict[str, Any]] = {}

    def remembered(rule: Rule) -> None:
        key = rule.rule, repr(rule.defaults), rule.subdomain, rule.host, rule.merge_slashes
        if key not in compiled:
            compile_rule(rule)
            compiled[key] = {name: vars(rule)[name] for name in ("_parts", "_trace", "_converters", "arguments")}
            compiled[key] |= {name: getattr(rule, name).__func__ for name in ("_build", "_build_unknown")}
            return
        for name, made in compiled[key].items():
            setattr(rule, name, made.__get__(rule) if name.startswith("_build") else made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", remembered)
        yield


class Compiled(BytecodeCache):
    """Compiled templates, in memory."""

    def __init__(self) -> None:
        self.codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self.codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self.codes[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture(scope="session", autouse=True)
def templates_compiled_once() -> Iterator[None]:
    """Likewise: to compile the templates of a page costs ten times what rendering it does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(APIFlask, "jinja_options", {"bytecode_cache": Compiled()})
        yield


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `clocher` with these words on a wide terminal; `--json` answers are in `.stdout`."""
    monkeypatch.setattr(orchestrator.settings, "load", lambda: settings)
    monkeypatch.setenv("COLUMNS", "160")

    def invoke(*words: str, **more: Any) -> Result:
        monkeypatch.setattr("sys.argv", ["clocher", *words])  # where the error's form is read from
        return CliRunner().invoke(main, words, **more)

    return invoke


def told(result: Result) -> Any:
    """The JSON answer of a command that went well."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@dataclass
class Caller:
    """Somebody with a token, and a person who holds the same roles. secret None: nobody."""

    app: APIFlask
    secret: str | None
    person: Person | None = None

    def __call__(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = more.pop("headers", {})
        if self.secret is not None:
            headers = {"Authorization": f"Bearer {self.secret}", **headers}
        return self.app.test_client().open(f"/api/v1{path}", method=method, headers=headers, **more)

    def place(self, parameters: dict[str, Any], offer: str = "vm-small", key: str = "key", **body: Any) -> TestResponse:
        body |= {"offer": offer, "parameters": parameters}
        return self("POST", "/orders", json=body, headers={"Idempotency-Key": key})


@pytest.fixture
def app(settings: Settings) -> Iterator[APIFlask]:
    made = create(settings)
    yield made
    made.extensions["engines"].dispose()


@pytest.fixture
def callers(app: APIFlask, owner: sa.Engine) -> Callable[[str | None], Caller]:
    """Makes a caller for a member (made on first use), or for the territory."""
    seed(owner)
    known: set[str] = set()

    def caller(slug: str | None) -> Caller:
        if slug and slug not in known:
            member(owner, slug)
            known.add(slug)
        roles = MEMBER_ROLES if slug else ("dsi_operator", "dsi_admin", "territory_finance")
        person = invite(app, f"Camille {len(known)}{slug}", slug, roles)
        return Caller(app, person.token(), person)

    return caller


@pytest.fixture
def brevaux(callers: Callable[[str | None], Caller]) -> Caller:
    return callers("brevaux")


@pytest.fixture
def orgelune(callers: Callable[[str | None], Caller]) -> Caller:
    return callers("orgelune")


@pytest.fixture
def dsi(callers: Callable[[str | None], Caller]) -> Caller:
    return callers(None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def portal(app: APIFlask) -> Iterator[str]:
    """The address of the app, served as in production."""
    with listening(app) as address:
        yield address
