"""The whole life of a stack in a guest of its own: installed, used, backed up, lost, brought back, upgraded, left.

People come to it by its name, through an entry, over TLS; several stacks live beside each other.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from orchestrator import ansible, readiness, service_secrets, ssh, trial
from orchestrator.ansible import Outcome
from orchestrator.errors import ClocherError
from orchestrator.settings import Settings
from orchestrator.tables_usage import OLDEST
from orchestrator.trial import Machine, Trial
from tenants import stacks, stacks_checking, stacks_exports, stacks_sources, stacks_town
from tenants.stacks import Check, Declared
from tenants.stacks_town import Address, Town

ARCHIVE = "essai"
FIRST, SECOND = "essai-1", "essai-2"  # operations: each restores and exports once, however often it asks
# All that a guest has written down of what was done in it, in ASCII: secrets are.
OVERHEARD = """{ journalctl --output=cat --no-pager
  find /var/log /data -name '*.log' -type f -exec cat {} +; } | LC_ALL=C tr -cd '\\n -~'"""
MOST = 500  # characters of a line in which a secret was found
SHORTEST = 12  # characters that are not found by chance
# The memory that is nobody else's, in KiB: shared pages are counted once.
MEMORY = "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ { sum += $2 } END { print sum }'"


@dataclass(frozen=True)
class Lived:
    """One part of a stack's life. good None: it was not come to; result: what its play gave back."""

    stack: str
    part: str
    good: bool | None
    seconds: float = 0.0
    changed: int | None = None
    result: dict[str, Any] = field(default_factory=dict)
    said: str = ""


Part = Callable[[], Outcome | dict[str, Any] | None]
Tell = Callable[[Lived], None]
Visit = Callable[[str, Address, dict[str, str]], None]


def live(settings: Settings, folders: Sequence[Path], tell: Tell, visit: Visit | None = None) -> list[Lived]:
    """Live them beside each other; each part is told as it ends. After a failure a stack tries nothing more.

    visit: called with a stack's name, the application's address and its secrets, once test/put has put something in.
    Both are called from threads, one for each stack. Raises `source_missing`.
    """
    tried = {folder: _read(settings, folder) for folder in (given.resolve() for given in folders)}
    own = settings.model_copy(update={"stacks_dirs": tuple({folder.parent: None for folder in tried})})
    with trial.opened(own) as place, ThreadPoolExecutor(len(tried) + 3) as beside:
        town = beside.submit(Town, place, list(tried.values()), beside)
        lives = [_Life(place, town, folder, stack, visit) for folder, stack in tried.items()]
        return [one for told in beside.map(lambda life: life.live(tell), lives) for one in told]


def _read(settings: Settings, folder: Path) -> Declared:
    stack = stacks_sources.sourced(stacks.read(folder), settings.stacks_sources)
    if stack.awaits_source:
        raise stacks_sources.missing(stack.title.model_dump())
    return stack


def _live(stack: str, name: str, part: Part) -> Lived:
    started = time.monotonic()
    try:
        outcome = part()
    except ClocherError as error:
        said = f"{error.sentence} {error.detail}".strip()
        return Lived(stack, name, False, time.monotonic() - started, said=said)
    seconds = time.monotonic() - started
    if isinstance(outcome, Outcome):
        return Lived(stack, name, True, seconds, outcome.changed, outcome.result)
    return Lived(stack, name, True, seconds, result=outcome or {})


class _Life:
    """One guest with its application, in a town that is being made, and what the plays are given."""

    def __init__(self, place: Trial, town: Future[Town], folder: Path, stack: Declared, visit: Visit | None) -> None:
        self.place, self.coming, self.folder, self.stack, self.visit = place, town, folder, stack, visit
        self.answers = stacks_checking.sample(stack)
        self.exported = stacks_exports.expected(folder)
        self.further = stacks_checking.further_tests(folder)
        self.version = stack.versions[-1].version
        self.changed: list[str] = []
        self.secrets = {secret.name: SecretStr(service_secrets.invent(secret.length)) for secret in stack.secrets}
        self.former: list[SecretStr] = []
        self.shown = {secret.name: secret.length for secret in stack.secrets if secret.shown}
        self.host = stacks_town.host(stack.slug) if stack.web else ""

    def live(self, tell: Tell) -> list[Lived]:
        """All of it, one part after the other."""
        told: list[Lived] = []
        for name, part in self.parts():
            failed = told and told[-1].good is not True
            told.append(Lived(self.stack.slug, name, None) if failed else _live(self.stack.slug, name, part))
            tell(told[-1])
        return told

    def parts(self) -> list[tuple[str, Part]]:
        """The life, in its order: it begins with the oldest version that is offered."""
        return [
            ("machines", self.settle),
            ("site", lambda: self.play("site")),
            *([("address", self.reach)] if self.stack.web else []),
            ("site, again", lambda: self.again("site")),
            ("site, compared", self.compare),
            ("health", self.check_health),
            ("put", lambda: self.play("test/put")),
            ("check", lambda: self.play("test/check")),
            *([("site, renewed", self.renew)] if self.shown else []),
            *([("visit", self.receive)] if self.visit and self.stack.web else []),
            *((act.removeprefix("test/"), lambda act=act: self.play(act)) for act in self.further),
            ("usage", self.count),
            *(self.losing() if self.stack.backup else []),
            ("upgrade", self.upgrade),
            ("upgrade, again", lambda: self.again("upgrade")),
            ("site, upgraded", lambda: self.again("site")),
            ("check, upgraded", lambda: self.play("test/check")),
            ("health, upgraded", self.check_health),
            ("export", lambda: self.play("export", operation=FIRST)),
            ("export, again", lambda: self.again("export", operation=FIRST)),
            ("export, opened", self.open_export),
            ("no secret told", self.overhear),
        ]

    def losing(self) -> list[tuple[str, Part]]:
        """All is lost, and comes back from the vault."""
        return [
            ("backup", lambda: self.play("backup", **self.kept)),
            ("backup, again", self.keep),
            ("destroy", lambda: self.play("test/destroy")),
            ("check finds nothing", self.miss),
            ("restore", lambda: self.play("restore", **self.kept, operation=FIRST)),
            ("restore, again", lambda: self.again("restore", **self.kept, operation=FIRST)),
            ("check, restored", lambda: self.play("test/check")),
            ("health, restored", self.check_health),
        ]

    @property
    def kept(self) -> dict[str, Any]:
        """What plays are given of the archive."""
        return {"vault": self.town.vault(self.stack.slug), "archive": ARCHIVE}

    def settle(self) -> None:
        """Wait for the application's guest."""
        self.town = self.coming.result()
        self.machine = self.town.machines[self.stack.slug]

    def keep(self) -> Outcome:
        """A second archive of the same name is the same one, which the vault keeps when it erases what is to go."""
        outcome = self.again("backup", **self.kept)
        self.town.prune(self.stack.slug, [outcome.result["id"]])
        return outcome

    def reach(self) -> dict[str, Any]:
        """The application answers at its name, over TLS, and who asks without is sent there."""
        address = self.town.address(self.stack)
        readiness.check_moved(address.machine, address.host, address.path)
        assert self.stack.web
        address.ask(address.path, self.stack.web.title_contains)
        return {"url": address.url}

    def play(self, act: str, *, check: bool = False, **more: Any) -> Outcome:
        """Run a play of the stack with what it is given in a service's life."""
        self.changed.clear()
        variables = {
            "admin": "essai", "ssh_keys": [], "volumes": list(self.machine.volumes),
            "member": stacks_town.MEMBER,
            "service": {
                "name": self.stack.slug, "ref": str(self.machine.guest.ref),
                "host": self.host, "url": self.host and f"https://{self.host}/",
            },
            "answers": self.answers, "secrets": self.secrets, "version": self.version,
            "sources": self.place.settings.sources_of(self.stack.slug), **more,
        }  # fmt: skip
        outcome = ansible.configure(
            self.place.settings, f"{stacks.PLAY}/{self.stack.slug}", self.machine.guest, variables, self._note, act=act,
            check=check,
        )  # fmt: skip
        if "***" in json.dumps(outcome.data):
            raise _wrong("secret_told", f"{act} gives a secret back")
        return outcome

    def _note(self, event: ansible.PlayEvent) -> None:
        if event.outcome == "changed" and event.task:
            self.changed.append(event.task)
        self._listen(f"{event.task} {event.message}", "an event")

    def _listen(self, text: str, where: str) -> None:
        """Nothing that is said or written down holds a secret."""
        if ansible.mask(text, self.hidden) != text:
            raise _wrong("secret_told", f"in {where}: {ansible.mask(text, self.hidden)[:MOST]}")

    @property
    def hidden(self) -> list[str]:
        """What nobody may read: secrets, of a key each line that is not its frame."""
        clients = [[client.private_key, client.passphrase] for client in self.town.clients.values()]
        whole = ansible.secrets_in([self.secrets, self.former, clients])
        return [
            line for secret in whole for line in secret.splitlines() if len(line) >= SHORTEST and "-----" not in line
        ]

    def again(self, act: str, **more: Any) -> Outcome:
        """A second run changes nothing."""
        outcome = self.play(act, **more)
        if outcome.changed:
            raise _wrong("not_idempotent", f"{act} changed again: {', '.join(self.changed)}")
        return outcome

    def compare(self) -> Outcome:
        """In check mode an untouched guest differs in nothing: else every week somebody is told of nothing."""
        outcome = self.play("site", check=True)
        if outcome.differences:
            told = "; ".join(f"{one.task} ({one.kind}): {one.diff}" for one in outcome.differences)
            raise _wrong("false_drift", f"site in check mode would change: {told}")
        return outcome

    def upgrade(self) -> Outcome:
        """To the newest version, which is what a new service gets."""
        self.version = self.stack.versions[0].version
        outcome = self.play("upgrade")
        if (told := outcome.result) != {"version": self.version}:
            raise _wrong("wrong_version", f"upgrade to {self.version} gave {told}")
        return outcome

    def renew(self) -> Outcome:
        """What people need to come in is made anew: the old one opens nothing any more."""
        self.former += [self.secrets[name] for name in self.shown]
        self.secrets |= {name: SecretStr(service_secrets.invent(length)) for name, length in self.shown.items()}
        outcome = self.play("site")
        if not outcome.changed:
            raise _wrong("secret_ignored", f"site did nothing with a new {', '.join(self.shown)}")
        return outcome

    def receive(self) -> None:
        """Somebody comes by the address, with what the service was given to open it."""
        assert self.visit
        opens = {name: secret.get_secret_value() for name, secret in self.secrets.items()}
        self.visit(self.stack.slug, self.town.address(self.stack), opens)

    def open_export(self) -> Outcome:
        """Asked for anew it is made anew; away from the guest its sums are right and the data are in it."""
        outcome = self.play("export", operation=SECOND)
        if not outcome.changed:
            raise _wrong("export_stale", "asked for by another operation, export made nothing")
        with tempfile.TemporaryDirectory(prefix="clocher-") as folder:
            into = Path(folder)
            stacks_exports.fetch(self.place.settings, self.machine.guest, outcome.result["path"], into)
            wrong = stacks_exports.faults(into, self.exported)
        if wrong:
            raise _wrong("export_incomplete", "; ".join(wrong))
        return outcome

    def overhear(self) -> None:
        """What the guests themselves have written down, plays' commands among it, holds no secret."""
        for machine in (self.machine, *self.town.shared):
            for line in self._ask(OVERHEARD, machine).splitlines():
                self._listen(line, f"the logs of {machine.guest.hostname}")

    def _ask(self, script: str, machine: Machine) -> str:
        return ssh.run(self.place.settings, machine.guest, "sudo", "sh", "-c", script, timeout=120)

    def count(self) -> Outcome:
        """Every meter that is declared is counted, in whole numbers; nothing is kept longer than was answered."""
        outcome = self.again("usage")
        meters = outcome.result.get("meters", {})
        limit = self.stack.retention.answer
        wanted = [*(meter.code for meter in self.stack.meters), *([OLDEST] if limit else [])]
        wrong = [code for code in wanted if type(meters.get(code)) is not int]
        if wrong:
            raise _wrong("usage_missing", f"no whole number for {', '.join(wrong)}: {meters}")
        if limit and meters[OLDEST] > self.answers[limit]:
            raise _wrong("kept_too_long", f"{OLDEST} {meters[OLDEST]}, {limit} {self.answers[limit]}")
        return outcome

    def miss(self) -> None:
        """What was destroyed is not there: else `check` proves nothing."""
        try:
            self.play("test/check")
        except ClocherError as error:
            if error.code == "play_failed":
                return
            raise
        raise _wrong("check_proves_nothing", "test/check passed after test/destroy")

    def check_health(self) -> dict[str, Any]:
        """The guest and the application answer, from outside. Tells the memory that all of it takes."""
        settings, machine = self.place.settings, self.machine
        readiness.check_health(settings, machine.guest, [str(volume["mount"]) for volume in machine.volumes])
        for check in self.stack.health:
            self._check(check)
        return {"memory_mib": round(int(self._ask(MEMORY, machine)) / 1024)}

    def _check(self, check: Check) -> None:
        """What people come to is asked as they do; what programs or a redirection answer, where they answer it."""
        if self.stack.web and check.port == self.stack.web.port and check.status not in readiness.MOVED:
            self.town.address(self.stack).ask(check.path, check.contains, check.status)
        else:
            readiness.check_web(self.machine.guest.address, **check.model_dump())


def _wrong(code: str, detail: str) -> ClocherError:
    return ClocherError(code, "La pile ne tient pas sa promesse.", "Corrigez ses playbooks.", detail=detail)
