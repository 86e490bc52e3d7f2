"""The whole life of a stack in a guest of its own: installed, used, backed up, lost, brought back, upgraded, left."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from orchestrator import ansible, readiness, service_secrets, ssh, trial
from orchestrator.ansible import Outcome
from orchestrator.errors import ClocherError
from orchestrator.settings import Settings
from orchestrator.trial import Machine, Trial
from tenants import stacks, stacks_checking, stacks_exports, stacks_sources
from tenants.stacks import Declared

ARCHIVE = "essai"
VAULT_FLAVOR = "s1.small"
VAULT_GIB = 5
CLIENT = "essai"
# All that a guest has written down of what was done in it, in ASCII: secrets are.
OVERHEARD = """{ journalctl --output=cat --no-pager
  find /var/log /data -name '*.log' -type f -exec cat {} +; } | LC_ALL=C tr -cd '\\n -~'"""
MOST = 500  # characters of a line in which a secret was found
SHORTEST = 12  # characters that are not found by chance
# The memory that is nobody else's, in KiB: shared pages are counted once.
MEMORY = "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ { sum += $2 } END { print sum }'"


@dataclass(frozen=True)
class Lived:
    """One part of the life. good None: it was not come to; result: what its play gave back."""

    part: str
    good: bool | None
    seconds: float = 0.0
    changed: int | None = None
    result: dict[str, Any] = field(default_factory=dict)
    said: str = ""


Part = Callable[[], Outcome | dict[str, Any] | None]
Visit = Callable[[str, dict[str, str]], None]


def live(settings: Settings, folder: Path, tell: Callable[[Lived], None], visit: Visit | None = None) -> list[Lived]:
    """Live it; each part is told as it ends. After a failure nothing more is tried.

    visit: called with the application's address and its secrets, once test/put has put something in. Raises
    `source_missing`.
    """
    folder = folder.resolve()
    stack = stacks_sources.sourced(stacks.read(folder), settings.stacks_sources)
    if stack.awaits_source:
        raise stacks_sources.missing(stack.title.model_dump())
    told: list[Lived] = []
    with trial.opened(settings.model_copy(update={"stacks_dirs": (folder.parent,)})) as place:
        life = _Life(place, folder, stack, visit)
        for name, part in life.parts():
            lived = Lived(name, None) if told and told[-1].good is not True else _live(name, part)
            told.append(lived)
            tell(lived)
    return told


def _live(name: str, part: Part) -> Lived:
    started = time.monotonic()
    try:
        outcome = part()
    except ClocherError as error:
        said = f"{error.sentence} {error.detail}".strip()
        return Lived(name, False, time.monotonic() - started, said=said)
    seconds = time.monotonic() - started
    if isinstance(outcome, Outcome):
        return Lived(name, True, seconds, outcome.changed, dict(outcome.data.get("result") or {}))
    return Lived(name, True, seconds, result=outcome or {})


class _Life:
    """One guest with its application, one that keeps its archives, and what the plays are given."""

    def __init__(self, place: Trial, folder: Path, stack: Declared, visit: Visit | None) -> None:
        self.place, self.folder, self.stack, self.visit = place, folder, stack, visit
        self.answers = stacks_checking.sample(stack)
        self.exported = stacks_exports.expected(folder)
        self.further = stacks_checking.further_tests(folder)
        self.version = stack.versions[-1].version
        self.vault: dict[str, Any] = {}
        self.changed: list[str] = []
        self.secrets = {secret.name: SecretStr(service_secrets.invent(secret.length)) for secret in stack.secrets}

    def parts(self) -> list[tuple[str, Part]]:
        """The life, in its order: it begins with the oldest version that is offered."""
        return [
            ("machines", self.build),
            ("site", lambda: self.play("site")),
            ("site, again", lambda: self.again("site")),
            ("health", self.check_health),
            ("put", lambda: self.play("test/put")),
            ("check", lambda: self.play("test/check")),
            *([("visit", self.receive)] if self.visit else []),
            *((act.removeprefix("test/"), lambda act=act: self.play(act)) for act in self.further),
            ("usage", self.count),
            *(self.losing() if self.stack.backup else []),
            ("upgrade", self.upgrade),
            ("upgrade, again", lambda: self.again("upgrade")),
            ("site, upgraded", lambda: self.again("site")),
            ("check, upgraded", lambda: self.play("test/check")),
            ("health, upgraded", self.check_health),
            ("export", lambda: self.play("export")),
            ("export, opened", self.open_export),
            ("no secret told", self.overhear),
        ]

    def losing(self) -> list[tuple[str, Part]]:
        """All is lost, and comes back from the vault."""
        return [
            ("backup", lambda: self.play("backup", **self.kept)),
            ("backup, again", lambda: self.again("backup", **self.kept)),
            ("destroy", lambda: self.play("test/destroy")),
            ("check finds nothing", self.miss),
            ("restore", lambda: self.play("restore", **self.kept)),
            ("restore, again", lambda: self.play("restore", **self.kept)),
            ("check, restored", lambda: self.play("test/check")),
            ("health, restored", self.check_health),
        ]

    @property
    def kept(self) -> dict[str, Any]:
        """What plays are given of the archive."""
        return {"vault": self.vault, "archive": ARCHIVE}

    def build(self) -> None:
        """The application's guest, and the vault's when it is backed up."""
        self.machine = trial.build(self.place, "essai", self.stack.sizes[0].flavor, self.stack.disk.default)
        if self.stack.backup:
            self.vault = self._vault(trial.build(self.place, "coffre", VAULT_FLAVOR, VAULT_GIB))

    def _vault(self, machine: Machine) -> dict[str, Any]:
        """The stack `vault` with the application as its client, and all that its plays need to get there."""
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        client = {"ref": CLIENT, "public_key": public, "quota_gib": VAULT_GIB}
        given = {"admin": "essai", "ssh_keys": [], "volumes": list(machine.volumes)}
        settings, play = self.place.settings, f"{stacks.PLAY}/vault"
        ansible.configure(settings, play, machine.guest, given, lambda event: None)
        given["vault_clients"] = [client]
        made = ansible.configure(settings, play, machine.guest, given, lambda event: None, act="clients")
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        return {
            "address": machine.guest.address, "port": 22, "user": "vault", "path": f"/data/vault/{CLIENT}",
            "host_key": made.data["result"]["host_key"], "private_key": SecretStr(private),
            "passphrase": SecretStr(service_secrets.invent(40)),
        }  # fmt: skip

    def play(self, act: str, **more: Any) -> Outcome:
        """Run a play of the stack with what it is given in a service's life."""
        self.changed.clear()
        variables = {
            "admin": "essai", "ssh_keys": [], "volumes": list(self.machine.volumes),
            "member": {"slug": "essai", "name": "Commune d’essai", "siret": "73282932000074"},
            "service": {"name": "essai", "ref": str(self.machine.guest.ref), "host": "", "url": ""},
            "answers": self.answers, "secrets": self.secrets, "version": self.version,
            "sources": self.place.settings.sources_of(self.stack.slug), **more,
        }  # fmt: skip
        outcome = ansible.configure(
            self.place.settings, f"{stacks.PLAY}/{self.stack.slug}", self.machine.guest, variables, self._note, act=act
        )
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
        whole = ansible.secrets_in([self.secrets, self.vault])
        return [
            line for secret in whole for line in secret.splitlines() if len(line) >= SHORTEST and "-----" not in line
        ]

    def again(self, act: str, **more: Any) -> Outcome:
        """A second run changes nothing."""
        outcome = self.play(act, **more)
        if outcome.changed:
            raise _wrong("not_idempotent", f"{act} changed again: {', '.join(self.changed)}")
        return outcome

    def upgrade(self) -> Outcome:
        """To the newest version, which is what a new service gets."""
        self.version = self.stack.versions[0].version
        outcome = self.play("upgrade")
        if (told := outcome.data.get("result")) != {"version": self.version}:
            raise _wrong("wrong_version", f"upgrade to {self.version} gave {told}")
        return outcome

    def receive(self) -> None:
        """Somebody comes by the address, with what the service was given to open it."""
        assert self.visit and self.stack.web
        address = f"http://{self.machine.guest.address}:{self.stack.web.port}{self.stack.web.path}"
        self.visit(address, {name: secret.get_secret_value() for name, secret in self.secrets.items()})

    def open_export(self) -> Outcome:
        """Made a second time, it still is one export; away from the guest its sums are right and the data are in it."""
        outcome = self.play("export")
        with tempfile.TemporaryDirectory(prefix="clocher-") as folder:
            into = Path(folder)
            stacks_exports.fetch(self.place.settings, self.machine.guest, outcome.data["result"]["path"], into)
            wrong = stacks_exports.faults(into, self.exported)
        if wrong:
            raise _wrong("export_incomplete", "; ".join(wrong))
        return outcome

    def overhear(self) -> None:
        """What the guest itself has written down, plays' commands among it, holds no secret."""
        for line in self._ask(OVERHEARD).splitlines():
            self._listen(line, "the guest’s logs")

    def _ask(self, script: str) -> str:
        return ssh.run(self.place.settings, self.machine.guest, "sudo", "sh", "-c", script, timeout=120)

    def count(self) -> Outcome:
        """Every business meter that is declared is counted, in whole numbers."""
        outcome = self.again("usage")
        meters = (outcome.data.get("result") or {}).get("meters", {})
        wrong = [meter.code for meter in self.stack.meters if type(meters.get(meter.code)) is not int]
        if wrong:
            raise _wrong("usage_missing", f"no whole number for {', '.join(wrong)}: {meters}")
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
            readiness.check_web(machine.guest.address, **check.model_dump())
        return {"memory_mib": round(int(self._ask(MEMORY)) / 1024)}


def _wrong(code: str, detail: str) -> ClocherError:
    return ClocherError(code, "La pile ne tient pas sa promesse.", "Corrigez ses playbooks.", detail=detail)
